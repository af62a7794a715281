package pubsub

import (
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// A connection is one that the Redis client has set aside for the Hub.
type connection struct {
	rueidis.DedicatedClient

	attempt uint64
	nodes   map[string]rueidis.Client // by address: the servers to one of which it leads
	broken  <-chan error              // closed, or sent why, when the connection breaks
	refused bool                      // the server has refused a channel lately
	release func()
}

// close closes the connection. A silent server delays that by about a second.
func (c *connection) close() {
	c.Close()
	c.release()
}

// A dialer makes connections, one at a time. It belongs to one goroutine.
//
// The Redis client cannot be told to give up: it waits for a server that accepts
// connections and does not answer, or until one of its connections is free. So that
// the Hub need not wait as long, connections are made in a goroutine of their own.
type dialer struct {
	hub       *Hub
	made      <-chan made     // nil if there is no attempt
	abandoned chan<- struct{} // closed when nobody waits for the attempt any more
}

// made is what came of an attempt to connect.
type made struct {
	connection *connection
	err        error
}

var errSlow = errors.New("the server does not answer")

// dial returns a connection that answers. When the limit has passed it returns an
// error, and the next call waits for the same attempt.
func (d *dialer) dial() (*connection, error) {
	if d.made == nil {
		d.start()
	}
	limit := time.NewTimer(d.hub.limits.answer)
	defer limit.Stop()
	select {
	case m := <-d.made:
		d.made = nil
		return m.connection, m.err
	case <-limit.C:
		return nil, errSlow
	case <-d.hub.ctx.Done():
		return nil, ErrClosed
	}
}

// resting reports whether the loop may end as far as connecting goes: there is no
// attempt under way, or the Hub was closed. With an attempt under way the loop stays, so
// that there are never two.
func (d *dialer) resting() bool { return d.made == nil || d.hub.ctx.Err() != nil }

func (d *dialer) start() {
	h := d.hub
	h.mu.Lock()
	h.attempts++
	attempt := h.attempts
	h.mu.Unlock()

	results, abandoned := make(chan made), make(chan struct{})
	d.made, d.abandoned = results, abandoned
	go func() {
		c, err := h.make(attempt)
		select {
		case results <- made{c, err}:
		case <-abandoned:
			if err == nil {
				c.close()
			}
		}
	}()
}

// make makes a connection and finds out whether it answers.
func (h *Hub) make(attempt uint64) (*connection, error) {
	// The nodes come first: of a client that moves meanwhile, they are those it left.
	c := &connection{attempt: attempt, nodes: h.client.Nodes()}
	c.DedicatedClient, c.release = h.client.Dedicate()
	c.broken = c.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { h.message(attempt, m) },
		OnSubscription: func(s rueidis.PubSubSubscription) { h.confirmed(attempt, s) },
	})
	err := h.ask(c, c.B().Ping().Build())
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// close gives up an attempt that is under way, for which it waits a moment.
func (d *dialer) close() {
	if d.made == nil {
		return
	}
	limit := time.NewTimer(d.hub.limits.parting)
	defer limit.Stop()
	select {
	case m := <-d.made:
		if m.err == nil {
			m.connection.close()
		}
	case <-limit.C:
		close(d.abandoned)
	}
}
