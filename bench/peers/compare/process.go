package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// A host runs workers of one kind, one at a time.
type host struct {
	command []string
	keep    bool // the same process for all jobs, because it gets faster with time
	running *process
}

// worker returns a process that is free for a job.
func (h *host) worker(ctx context.Context) (*process, error) {
	if h.running != nil {
		return h.running, nil
	}
	p, err := start(ctx, h.command)
	if err != nil {
		return nil, err
	}
	h.running = p
	return p, nil
}

// release lets the process go after a job, if it is not to be kept.
func (h *host) release(ctx context.Context, failed bool) {
	if failed || !h.keep || h.running.end(ctx) != nil {
		h.stop()
	}
}

func (h *host) stop() {
	if h.running != nil {
		h.running.stop()
		h.running = nil
	}
}

// A process is a worker, seen from outside.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr *bytes.Buffer // may be read once the process has ended
}

func start(ctx context.Context, command []string) (*process, error) {
	p := &process{stderr: new(bytes.Buffer)}
	p.cmd = exec.CommandContext(ctx, command[0], command[1:]...)
	p.cmd.Stderr = p.stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

// get gives the process a job and waits until it is ready for it.
func (p *process) get(ctx context.Context, j job) error {
	line, err := json.Marshal(j)
	if err != nil {
		return err
	}
	_, err = p.ask(ctx, string(line))
	return err
}

// run tells the process to go on and returns what it did.
func (p *process) run(ctx context.Context) (answer, error) { return p.ask(ctx, "go") }

// end tells the process to close its clients.
func (p *process) end(ctx context.Context) error {
	_, err := p.ask(ctx, "end")
	return err
}

// ask writes a line and reads an answer. If there is none when ctx ends, the process
// is killed.
func (p *process) ask(ctx context.Context, line string) (answer, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	var a answer
	_, err := io.WriteString(p.in, line+"\n")
	if err == nil {
		err = p.out.Decode(&a)
	}
	switch {
	case ctx.Err() != nil:
		return answer{}, context.Cause(ctx)
	case err != nil:
		p.stop()
		return answer{}, fmt.Errorf("the worker has ended: %w: %s", err, strings.TrimSpace(p.stderr.String()))
	case a.Error != "":
		return answer{}, errors.New(a.Error)
	}
	return a, nil
}

// stop ends the process and waits for it. It may be called again.
func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill() // fails only when it has ended by itself
	_ = p.cmd.Wait()         // being killed is how it ends
}
