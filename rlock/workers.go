package rlock

import (
	"sync"
	"time"
)

// workers run tasks apart from their callers. A goroutine that has run one is kept for
// a moment, because its stack has grown to what the next one needs.
type workers struct {
	idle chan func() // takes a job if a worker waits for one
	wg   sync.WaitGroup

	mu     sync.Mutex
	used   bool        // a worker was spared since the reaper came by
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
		w.wg.Go(func() {
			for ; job != nil; job = <-w.idle {
				job()
				w.spared()
			}
		})
	}
}

// spared notes that a worker has nothing to do.
func (w *workers) spared() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = true
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
	if w.used {
		w.used = false
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

// start runs a task apart from its caller, keeps the tenure that it is about, if any,
// for as long, and then closes done, if it is not nil. It reports false, and does
// nothing, once the client is being closed and no other task runs.
func (c *Client) start(t *tenure, done chan<- struct{}, task func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.startLocked(t, done, task)
	return true
}

func (c *Client) startLocked(t *tenure, done chan<- struct{}, task func()) {
	c.running++
	if t != nil {
		t.users.Add(1)
	}
	c.workers.run(func() {
		task()
		c.finish(t)
		if done != nil {
			close(done)
		}
	})
}

// finish ends a task.
func (c *Client) finish(t *tenure) {
	if t != nil {
		c.leave(t)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	if c.ended && c.running == 0 && !c.over {
		c.over = true
		close(c.quiet)
	}
}
