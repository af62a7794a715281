package rlock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// scriptLimit is how long a caller waits for the answer to a script at most. Who
// cannot stop waiting, waits for as long as the Redis client does.
const scriptLimit = 5 * time.Second

// A detached context is what a script runs under apart from its caller, whose context
// never reaches the Redis client: a context that ends while its command is on a shared
// connection makes the client close that connection, and its neighbours fail. Nor does
// it have a deadline, for the same reason. Values pass through, for tracing.
type detached struct {
	context.Context // for its values

	abort <-chan struct{} // closed when nobody waits any more, at the end of Close
}

func (c *Client) detached(ctx context.Context) context.Context {
	return detached{Context: ctx, abort: c.abort}
}

func (d detached) Deadline() (time.Time, bool) { return time.Time{}, false }

func (d detached) Done() <-chan struct{} { return d.abort }

func (d detached) Err() error {
	select {
	case <-d.abort:
		return context.Canceled
	default:
		return nil
	}
}

// notSent reports whether the error means that no connection was there to send on.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// ask runs a script, under a context that cannot end before the Client is closed, until the server has answered. A script that was sent and not
// answered is sent again, which is harmless, for as long as the grace period: dead
// connections are only found by using them. Whether any copy stayed unanswered is
// reported in any case: it may still run. What cannot be sent is not insisted on.
func (c *Client) ask(ctx context.Context, script func(ctx context.Context) error) (unanswered bool, failure *fault) {
	began := time.Now()
	for attempt := 0; ; attempt++ {
		err := script(ctx)
		if err == nil {
			return unanswered, nil
		}
		f := classify(err)
		unanswered = unanswered || f.unanswered
		f.unanswered = unanswered
		if notSent(err) || !f.passing() || time.Since(began) >= c.gracePeriod {
			return unanswered, f
		}
		if !pause(c.abort, min(time.Duration(attempt)*time.Millisecond, 50*time.Millisecond)) {
			return unanswered, f
		}
	}
}

// insist is ask for a script that gives something back: while the server cannot be
// reached, it tries again until the grace period ends.
func (c *Client) insist(ctx context.Context, script func(ctx context.Context) error) (unanswered bool, failure *fault) {
	began := time.Now()
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 200*time.Millisecond) {
		open, f := c.ask(ctx, script)
		unanswered = unanswered || open
		if f == nil {
			return unanswered, nil
		}
		f.unanswered = unanswered
		if !f.passing() || time.Since(began)+delay >= c.gracePeriod || !pause(c.abort, delay) {
			return unanswered, f
		}
	}
}

// pause reports whether d passed before end was closed.
func pause(end <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		select {
		case <-end:
			return false
		default:
			return true
		}
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-end:
		return false
	}
}

// A patience is how long a caller waits for a script.
type patience struct {
	ctx   context.Context
	limit time.Time     // zero: none
	extra time.Duration // how long the caller stays after ctx ended
}

// endless reports whether the caller waits for as long as it takes, so that the
// script may run in the caller's own goroutine.
func (p patience) endless() bool { return p.ctx.Done() == nil && p.limit.IsZero() }

// wait returns nil when done is closed, else why the caller left before.
func (p patience) wait(c *Client, done <-chan struct{}) error {
	select { // what has ended, has ended
	case <-done:
		return nil
	default:
	}
	longest := scriptLimit
	if !p.limit.IsZero() {
		longest = time.Until(p.limit)
	}
	limit := time.NewTimer(longest)
	defer limit.Stop()
	select {
	case <-done:
		return nil
	case <-limit.C:
		return &fault{err: errNoAnswer, unanswered: true}
	case <-c.closing:
		return ErrClosed
	case <-p.ctx.Done():
		if p.extra > 0 {
			t := time.NewTimer(p.extra)
			defer t.Stop()
			select {
			case <-done:
				return nil
			case <-t.C:
			}
		}
		return ended(p.ctx)
	}
}

// ended returns the error of a context that has ended, together with its cause if
// there is one.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
