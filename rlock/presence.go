package rlock

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-rlock/rlock/pubsub"
)

// A presence keeps the pub/sub connection while a client has holds, because the
// connection's end is how it learns at once that the server's data may be gone. The
// zero value is ready to use.
type presence struct {
	holds atomic.Int64

	mu      sync.Mutex // protects what follows
	keeper  *pubsub.Keeper
	resting *time.Timer // lets the keeper go some time after the last hold
	closed  bool
}

func (p *presence) enter(c *Client) {
	if p.holds.Add(1) > 1 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keeper == nil && !p.closed {
		p.keeper = c.hub.Keep(c.dog.RenewAll)
	}
}

func (p *presence) leave() {
	if p.holds.Add(-1) > 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
	case p.resting == nil:
		p.resting = time.AfterFunc(linger, p.rest)
	default:
		p.resting.Reset(linger)
	}
}

func (p *presence) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holds.Load() == 0 && p.keeper != nil {
		p.keeper.Close()
		p.keeper = nil
	}
}

// close stops the timer; the hub lets its keepers go by itself.
func (p *presence) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.resting != nil {
		p.resting.Stop()
	}
}
