package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// pace is how often the lines of a process are read. They wait in the pipe until
// then, which costs less than to wake up for each of them; a pipe holds the lines of
// a few thousand turns.
const pace = 20 * time.Millisecond

// A process is a worker process, seen from its parent.
type process struct {
	number int // from 0
	cmd    *exec.Cmd
	stdin  io.WriteCloser
}

// A report is news from a process: some messages, or that it has ended.
type report struct {
	from     int
	messages []message
	ended    *os.ProcessState
}

// startProcess starts this program again as a worker and gives it a job. The process
// is killed when ctx is done. The caller reads stdout to its end by calling follow.
func startProcess(ctx context.Context, number int, j job, stderr io.Writer) (p *process, stdout io.Reader, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	what, err := json.Marshal(j)
	if err != nil {
		return nil, nil, fmt.Errorf("encode the job: %w", err)
	}

	cmd := exec.CommandContext(ctx, program, workerCommand)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start a process: %w", err)
	}
	stdout, err = cmd.StdoutPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start a process: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start a process: %w", err)
	}
	p = &process{number: number, cmd: cmd, stdin: stdin}
	p.send(string(what)) // a pipe takes it at once; a process that is gone is noticed by follow
	return p, stdout, nil
}

// send writes a line to the process.
func (p *process) send(line string) { _, _ = io.WriteString(p.stdin, line+"\n") }

// dismiss tells the process to stop after its turn, or to leave if it has stopped.
func (p *process) dismiss() { _ = p.stdin.Close() }

// follow sends on what the process says until it has ended. A process that cannot be
// understood is killed.
func (p *process) follow(stdout io.Reader, reports chan<- report) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	lines := bufio.NewReaderSize(stdout, 1<<16)
	for {
		messages, err := readBatch(lines)
		if len(messages) > 0 {
			reports <- report{from: p.number, messages: messages}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			_ = p.cmd.Process.Kill()
			break
		}
		<-ticker.C
	}
	_ = p.cmd.Wait() // what there is to know is in the ProcessState
	reports <- report{from: p.number, ended: p.cmd.ProcessState}
}

// readBatch reads at least one line and whatever else is there, or returns an error
// with what there was before it.
func readBatch(lines *bufio.Reader) ([]message, error) {
	var messages []message
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return messages, err // a line that was not finished was not said
		}
		m, err := decode(line)
		if err != nil {
			return append(messages, message{kind: fault, text: err.Error()}), err
		}
		messages = append(messages, m)
		if lines.Buffered() == 0 {
			return messages, nil
		}
	}
}
