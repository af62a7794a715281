package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	// batch is the number of channels in one SUBSCRIBE.
	batch = 256

	// useful is how long a connection must last for the next one to be made at once.
	useful       = 200 * time.Millisecond
	firstPause   = 20 * time.Millisecond
	longestPause = 250 * time.Millisecond

	// rethink is how long the server has to think about a channel that it refused.
	rethink = 2 * time.Second

	// look is how often the Redis client is asked where it leads.
	look = 500 * time.Millisecond
)

var errMoved = errors.New("rlock: pub/sub connection given up: the Redis client turned to another server")

// loop owns the connection: it makes it, uses it, and makes it again, until nobody
// has needed it for a while.
func (h *Hub) loop() {
	d := dialer{hub: h}
	defer d.close()
	pause, again := firstPause, false
	for {
		served, broke := h.connect(&d, again)
		if d.resting() && h.detach() {
			return
		}
		// A connection that did not break was closed because nobody needed it, and
		// nobody was interrupted.
		again = broke
		if !broke || served > useful {
			pause = firstPause
			continue
		}
		h.sleep(pause/2 + rand.N(pause))
		pause = min(2*pause, longestPause)
		if d.resting() && h.detach() {
			return
		}
	}
}

// connect makes a connection and serves it until nobody needs it any more, or until it
// breaks, of which it tells the listeners. It returns how long the connection was of use.
func (h *Hub) connect(d *dialer, again bool) (served time.Duration, broke bool) {
	c, err := d.dial()
	if err != nil {
		h.interrupted(fmt.Errorf("rlock: connect for pub/sub: %w", concealed(err)))
		return 0, true
	}
	defer c.close()
	began := time.Now()
	h.adopt(c.attempt)
	if again {
		h.reconnected()
	}
	if err := h.serve(c); err != nil {
		h.interrupted(err)
		return time.Since(began), true
	}
	return time.Since(began), false
}

// serve passes on what listeners want until the connection breaks or leads nowhere, which
// is an error, or nobody wants anything any more.
func (h *Hub) serve(c *connection) error {
	unused, refused := time.NewTimer(h.limits.linger), time.NewTimer(rethink)
	defer unused.Stop()
	defer refused.Stop()
	looks := time.NewTicker(look)
	defer looks.Stop()
	needed := false
	for {
		if err := h.flush(c); err != nil {
			return err
		}
		if c.refused {
			c.refused = false
			refused.Reset(rethink)
		}
		switch before := needed; {
		case h.needed():
			needed = true
			unused.Stop()
		case before:
			needed = false
			unused.Reset(h.limits.linger)
		}
		select {
		case <-h.wake:
		case <-refused.C:
			h.askAgain()
		case <-looks.C:
			if h.moved(c) {
				return errMoved
			}
		case <-unused.C:
			if !h.needed() {
				return nil
			}
		case err := <-c.broken:
			if err == nil {
				err = errors.New("connection closed")
			}
			return fmt.Errorf("rlock: pub/sub connection lost: %w", concealed(err))
		case <-h.ctx.Done():
			return nil
		}
	}
}

// moved reports whether commands do not go any more where they went when the connection
// was made. A client of a Sentinel turns to the new primary at once, and leaves a connection
// that was set aside with the old one, where nothing is published any more.
//
// Where commands may go to replicas too, the client names these among its nodes and does not
// say which one is the primary. A primary that was replaced is none of them until it has
// become a replica, for which Sentinel gives it some seconds.
func (h *Hub) moved(c *connection) bool {
	nodes := h.client.Nodes()
	for addr := range c.nodes {
		if _, there := nodes[addr]; !there {
			return true
		}
	}
	return false
}

// flush tells the server what has changed.
func (h *Hub) flush(c *connection) error {
	join, leave := h.changes()
	err := inBatches(leave, func(channels []string) error {
		return h.ask(c, c.B().Unsubscribe().Channel(channels...).Build())
	})
	// Who may not leave a channel remains on it, where messages are ignored.
	if err != nil && !refuses(err) {
		return fmt.Errorf("rlock: unsubscribe: %w", err)
	}
	return inBatches(join, func(channels []string) error { return h.subscribe(c, channels) })
}

// subscribe asks for channels: for all of them at once or, if the server refuses that,
// one by one, and tells the listeners of those that it refuses.
func (h *Hub) subscribe(c *connection, channels []string) error {
	err := h.ask(c, c.B().Subscribe().Channel(channels...).Build())
	switch {
	case err == nil:
		return nil
	case !refuses(err):
		return fmt.Errorf("rlock: subscribe: %w", err)
	case len(channels) > 1:
		return inBatchesOf(1, channels, func(one []string) error { return h.subscribe(c, one) })
	}
	c.refused = true
	h.refused(channels[0], fmt.Errorf("rlock: subscribe to %q: %w", channels[0], err))
	return nil
}

// refuses reports whether err is the answer of a server that will not change its mind.
// Any other error answer, that it is busy for example, is taken for a connection of no
// use, and tried again.
func refuses(err error) bool {
	refusal, ok := rueidis.IsRedisErr(err)
	return ok && strings.HasPrefix(refusal.Error(), "NOPERM")
}

// ask sends a command and waits for the answer.
func (h *Hub) ask(c *connection, command rueidis.Completed) error {
	ctx, cancel := context.WithTimeout(h.ctx, h.limits.answer)
	defer cancel()
	return concealed(c.Do(ctx, command).Error())
}

// concealed returns err, or another error with its text if it is that of a context: of
// ours, and no caller may take it for the end of its own.
func concealed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New("the server does not answer: " + err.Error())
	}
	return err
}

func inBatches(channels []string, do func(channels []string) error) error {
	return inBatchesOf(batch, channels, do)
}

// inBatchesOf calls do with n channels at a time, until it fails.
func inBatchesOf(n int, channels []string, do func(channels []string) error) error {
	for len(channels) > 0 {
		n := min(n, len(channels))
		if err := do(channels[:n]); err != nil {
			return err
		}
		channels = channels[n:]
	}
	return nil
}

// sleep waits for d or until the Hub is closed.
func (h *Hub) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.ctx.Done():
	}
}
