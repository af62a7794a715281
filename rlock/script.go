package rlock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/redis/rueidis"
)

// scriptLimit is how long a caller waits for the answer to a script at most. Who
// cannot stop waiting, waits for as long as the Redis client does.
const scriptLimit = 5 * time.Second

// notSent reports whether the error means that no connection was there to send on.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// broke reports whether the error means that a connection broke which had been there.
// What the server does now, a new one tells.
func broke(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Op != "dial" && !op.Timeout()
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}

// ask runs a script until the server has answered. A script whose connection broke is
// sent again, which is harmless, for as long as the grace period: dead connections are
// only found by using them. One that is told that the Redis client is closed is sent once
// more: the client may have turned to a new primary and closed the connections to the old
// one. Whether any copy stayed unanswered is reported in any case: it may still run. What
// cannot be sent is not insisted on.
//
// The context must be one that cannot end: what came of a script whose context ended,
// nobody would learn, and a deadline that passes while a connection is not shared makes
// the Redis client close it.
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
		again := broke(err) || attempt == 0 && errors.Is(err, rueidis.ErrClosing)
		if !again || time.Since(began) >= c.gracePeriod ||
			!pause(c.abort, min(time.Duration(attempt)*time.Millisecond, 50*time.Millisecond)) {
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

// ended returns the error of a context that has ended, together with its cause if
// there is one.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
