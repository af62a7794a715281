package rlock

import (
	"sync"
	"sync/atomic"
	"time"
)

// workers run tasks apart from their callers. A goroutine that has run one is kept for
// a moment, because its stack has grown to what the next one needs.
type workers struct {
	idle chan func() // takes a job if a worker waits for one
	wg   sync.WaitGroup

	used atomic.Bool // a worker was spared since the reaper came by

	mu     sync.Mutex  // protects what follows
	reaper *time.Timer // sends idle workers home
	armed  bool
	closed bool
}

func newWorkers() *workers { return &workers{idle: make(chan func())} }

// run runs the job in a goroutine of its own. It does not block.
func (w *workers) run(job func()) {
	select {
	case w.idle <- job:
	default:
		w.hire(job)
	}
}

// hire starts a worker.
func (w *workers) hire(job func()) {
	w.wg.Go(func() {
		for ; job != nil; job = <-w.idle {
			job()
			w.spared()
		}
	})
}

// spared notes that a worker has nothing to do.
func (w *workers) spared() {
	if w.used.Swap(true) {
		return // and the reaper is armed
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed || w.closed {
		return
	}
	w.armed = true
	if w.reaper == nil {
		w.reaper = time.AfterFunc(linger, w.reap)
	} else {
		w.reaper.Reset(linger)
	}
}

// reap sends idle workers home if there was nothing to do for a while.
func (w *workers) reap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if w.used.Swap(false) {
		w.reaper.Reset(linger)
		return
	}
	w.armed = false
	for {
		select {
		case w.idle <- nil:
		default:
			return
		}
	}
}

// close sends the workers home, each when its job has ended. No other job may follow.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.reaper != nil {
		w.reaper.Stop()
	}
	close(w.idle) // a nil job for all
}

// wait waits for the workers.
func (w *workers) wait() { w.wg.Wait() }

// start runs a task apart from its caller, and keeps the tenure that it is about, if any,
// for as long. It does nothing once the client is being closed and no other task runs.
func (c *Client) start(t *tenure, task func()) { c.startJob(t, c.job(t, task)) }

// job returns a job for a task.
func (c *Client) job(t *tenure, task func()) func() {
	return func() {
		task()
		c.finish(t)
	}
}

// startJob is start for a job, which ends with finish. It reports whether it did anything.
func (c *Client) startJob(t *tenure, job func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.startLocked(t, job)
	return true
}

func (c *Client) startLocked(t *tenure, job func()) {
	c.running.Add(1)
	if t != nil {
		c.retain(t)
	}
	c.workers.run(job)
}

// begin counts what its caller does by itself as a task, which ends with finish, so that
// Close awaits what it leaves behind. It reports false if the client is being closed.
func (c *Client) begin() bool {
	c.running.Add(1)
	if c.isClosing() {
		c.finish(nil)
		return false
	}
	return true
}

// finish ends a task.
func (c *Client) finish(t *tenure) {
	if t != nil {
		c.leave(t)
	}
	if c.running.Add(-1) > 0 || !c.isClosing() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running.Load() == 0 && !c.over {
		c.over = true
		close(c.quiet)
	}
}
