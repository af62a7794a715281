//go:build unix

package worker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Limit bounds how long a parent waits for one line of a process, and for its end. It
// is shorter than the library's default lease, so that what only the end of that lease
// brings about comes too late.
const Limit = 20 * time.Second

// A Process is a worker process, seen from its parent. Its methods are for the
// goroutine of the test, which they fail with FailNow.
type Process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  chan string   // what it says; closed when it has ended
	done   chan struct{} // closed when it has ended and was waited for
	stderr bytes.Buffer  // may be read when done is closed
}

// Start starts this program again as a worker. The process is killed when the test
// is over, and what it wrote to standard error is logged if the test failed.
func Start(tb testing.TB, job Job) *Process {
	tb.Helper()
	program, err := os.Executable()
	if err != nil {
		tb.Fatalf("worker: find this program: %v", err)
	}
	text, err := json.Marshal(job)
	if err != nil {
		tb.Fatalf("worker: encode the job: %v", err)
	}
	p := &Process{
		cmd:   exec.CommandContext(context.WithoutCancel(tb.Context()), program),
		lines: make(chan string, 16),
		done:  make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), variable+"="+string(text))
	p.cmd.Stderr = &p.stderr
	bindToParent(p.cmd)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		tb.Fatalf("worker: start a process: %v", err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatalf("worker: start a process: %v", err)
	}
	started := make(chan error)
	go p.follow(out, started)
	if err := <-started; err != nil {
		tb.Fatalf("worker: start a process: %v", err)
	}
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() && p.stderr.Len() > 0 {
			tb.Logf("process %d wrote:\n%s", p.Pid(), p.stderr.String())
		}
	})
	return p
}

// follow starts the process and passes on what it says until it ends.
func (p *Process) follow(out io.Reader, started chan<- error) {
	// A process that dies with its parent dies with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	for said := bufio.NewScanner(out); said.Scan(); {
		p.lines <- said.Text()
	}
	close(p.lines)
	_ = p.cmd.Wait() // what there is to know is in the ProcessState
}

// Pid returns the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Tell sends the process a line.
func (p *Process) Tell(tb testing.TB, line string) {
	tb.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		tb.Fatalf("worker: tell process %d %q: %v", p.Pid(), line, err)
	}
}

// Hear returns the next line that the process says.
func (p *Process) Hear(tb testing.TB) string {
	tb.Helper()
	limit := time.NewTimer(Limit)
	defer limit.Stop()
	select {
	case line, ok := <-p.lines:
		if !ok {
			tb.Fatalf("worker: process %d has ended", p.Pid())
		}
		return line
	case <-limit.C:
		tb.Fatalf("worker: process %d has not said anything for %v", p.Pid(), Limit)
	}
	return ""
}

// Ask is Tell and then Hear.
func (p *Process) Ask(tb testing.TB, line string) string {
	tb.Helper()
	p.Tell(tb, line)
	return p.Hear(tb)
}

// Tally returns the next line that the process says, as a Tally.
func (p *Process) Tally(tb testing.TB) Tally {
	tb.Helper()
	var t Tally
	line := p.Hear(tb)
	if err := json.Unmarshal([]byte(line), &t); err != nil {
		tb.Fatalf("worker: process %d said %q, which is no tally: %v", p.Pid(), line, err)
	}
	return t
}

// Signal sends a signal.
func (p *Process) Signal(tb testing.TB, signal os.Signal) {
	tb.Helper()
	if err := p.Send(signal); err != nil {
		tb.Fatalf("worker: send %v to process %d: %v", signal, p.Pid(), err)
	}
}

// Send is Signal for goroutines other than the test's.
func (p *Process) Send(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Freeze stops the process with SIGSTOP and returns when none of its threads runs any
// more, which is later than when the signal is sent.
func (p *Process) Freeze(tb testing.TB) {
	tb.Helper()
	p.Signal(tb, syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.Pid(), &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		tb.Fatalf("worker: process %d did not stop: %v", p.Pid(), err)
	}
}

// Kill ends the process with SIGKILL and returns when it is gone, also from the
// system's list.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails only when it has ended by itself
	for range p.lines {
		continue
	}
	<-p.done
}

// Finish tells the process that nothing more will be said to it. It ends when it has
// done what it was told before.
func (p *Process) Finish(tb testing.TB) {
	tb.Helper()
	if err := p.in.Close(); err != nil {
		tb.Fatalf("worker: close the input of process %d: %v", p.Pid(), err)
	}
}

// Succeed waits for the end of the process, which must be one without an error.
func (p *Process) Succeed(tb testing.TB) {
	tb.Helper()
	limit := time.NewTimer(Limit)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		tb.Fatalf("worker: process %d has not ended for %v", p.Pid(), Limit)
	}
	if !p.cmd.ProcessState.Success() {
		tb.Errorf("process %d: %v", p.Pid(), p.cmd.ProcessState)
	}
}
