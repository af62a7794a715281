package main

import (
	"context"
	"io"
	"sync"
)

// A crew is the worker processes of one demonstration. It is used by one goroutine,
// which must receive from reports until nobody is left.
type crew struct {
	members []*process
	left    int                // members that have not ended
	kill    context.CancelFunc // ends them all at once
	reports chan report

	following sync.WaitGroup
}

// startCrew starts n processes with one job. If one cannot be started, the others are
// ended again.
func startCrew(ctx context.Context, n int, j job, stderr io.Writer) (*crew, error) {
	ctx, kill := context.WithCancel(ctx)
	c := &crew{kill: kill, reports: make(chan report)}
	for number := range n {
		p, stdout, err := startProcess(ctx, number, j, stderr)
		if err != nil {
			kill()
			for c.left > 0 {
				c.see(<-c.reports)
			}
			return nil, err
		}
		c.members = append(c.members, p)
		c.left++
		c.following.Go(func() { p.follow(stdout, c.reports) })
	}
	return c, nil
}

// see takes note of a report: who has said the last word is dismissed, who has ended
// is gone. After the last one all that the crew needed is given back.
func (c *crew) see(r report) {
	for _, m := range r.messages {
		switch m.kind {
		case done, failed, fault:
			c.members[r.from].dismiss()
		}
	}
	if r.ended == nil {
		return
	}
	c.left--
	if c.left == 0 {
		c.kill() // nobody; it frees the context
		c.following.Wait()
	}
}

// start lets the processes begin.
func (c *crew) start() {
	for _, p := range c.members {
		p.send(wordGo)
	}
}

// stop tells the processes to stop after the turn that they are in.
func (c *crew) stop() {
	for _, p := range c.members {
		p.dismiss()
	}
}

// pids returns the numbers under which the system knows the processes.
func (c *crew) pids() []int {
	var pids []int
	for _, p := range c.members {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}
