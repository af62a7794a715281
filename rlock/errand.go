package rlock

import (
	"context"
	"time"
)

// A patience is how long a caller waits for a script.
type patience struct {
	ctx   context.Context
	limit time.Time     // zero: none
	extra time.Duration // how long the caller stays after ctx ended
}

// endless reports whether the caller waits for as long as it takes, so that the
// script may run in the caller's own goroutine.
func (p patience) endless() bool { return p.ctx.Done() == nil && p.limit.IsZero() }

// An errand is a task that runs apart from a caller who waits for it. It is used again
// for another one when both have ended.
type errand struct {
	client *Client
	tenure *tenure // that the task is about; nil: none
	ctx    context.Context
	task   func(ctx context.Context) error
	err    error // what the task has returned

	job   func()        // run
	done  chan struct{} // one slot
	limit *time.Timer
}

// apart runs a task in a goroutine of its own, as far as the caller's patience goes. It
// returns what the task has returned; or that, and why, the caller left before. The task
// gets the values of the caller's context and not its end. It goes on without the caller,
// and keeps the tenure that it is about, if any, for as long.
func (c *Client) apart(t *tenure, p patience, task func(ctx context.Context) error) (left bool, err error) {
	e, _ := c.errands.Get().(*errand)
	if e == nil {
		e = &errand{client: c, done: make(chan struct{}, 1), limit: time.NewTimer(time.Hour)}
		e.job = e.run
	}
	e.tenure, e.ctx, e.task = t, context.WithoutCancel(p.ctx), task
	if c.isClosing() || !c.startJob(t, e.job) {
		return true, ErrClosed
	}
	if err := e.wait(p); err != nil {
		return true, err
	}
	err = e.err
	e.tenure, e.ctx, e.task, e.err = nil, nil, nil, nil
	c.errands.Put(e)
	return false, err
}

func (e *errand) run() {
	e.err = e.task(e.ctx)
	e.client.finish(e.tenure)
	e.done <- struct{}{}
}

// wait returns nil when the task has ended, else why the caller left before.
func (e *errand) wait(p patience) error {
	select { // what has ended, has ended
	case <-e.done:
		return nil
	default:
	}
	longest := scriptLimit
	if !p.limit.IsZero() {
		longest = time.Until(p.limit)
	}
	end := time.Now().Add(longest)
	e.limit.Reset(longest)
	defer e.limit.Stop()
	select {
	case <-e.done:
		return nil
	case <-e.limit.C:
		return &fault{err: errNoAnswer, unanswered: true}
	case <-e.client.closing:
		return ErrClosed
	case <-p.ctx.Done():
		if p.extra > 0 {
			e.limit.Reset(min(p.extra, time.Until(end)))
			select {
			case <-e.done:
				return nil
			case <-e.limit.C:
			}
		}
		return ended(p.ctx)
	}
}
