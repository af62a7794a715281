package rlock

import (
	"context"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// A transfer is one release of a lock under way: to whom it may go, and what came of it.
type transfer struct {
	lua.Passing

	room   *room
	next   *waiter // of this process, claimed for the lock; nil: none
	inside bool    // next has the lock in any case
	done   bool
	open   bool // no answer came since a copy was sent: nobody knows who has the lock

	sent time.Time
	got  lua.Passed
}

// transfer gives away a lock of which the tenure has the last hold, to the next in line.
func (t *tenure) transfer(ctx context.Context, uncertain *bool) (lua.Status, error) {
	c := t.client
	x := t.room.transferFrom(t)
	if !x.inside {
		t.room.expectRelease()
	}
	open, f := c.insist(ctx, func(ctx context.Context) error { return x.run(ctx, c) })
	if open {
		c.retire(t)
		*uncertain = true
	}
	x.done = f == nil && x.got.Status == lua.Done
	if !x.inside && (!x.done || x.got.Successor != lua.Nobody || x.got.Unheard) {
		t.room.unexpected()
	}
	status := x.got.Status
	if x.done && x.got.Before && !*uncertain { // it was not this process that gave it away
		status = lua.NotOwner
	}
	if f == nil && (status == lua.Done || status == lua.NotOwner && *uncertain) {
		t.ended()
	}
	if x.done && x.got.Unheard {
		c.warnUnheard(t.room.names.lock)
	}
	x.settle() //nolint:contextcheck // the next hold has the values of its own context
	if f != nil {
		return 0, f
	}
	return status, nil
}

// passing returns how this lock is passed on, by nobody yet.
func (r *room) passing() lua.Passing {
	return lua.Passing{
		Key: r.names.lock, Queue: r.names.queue, Tail: r.names.tail, Most: r.client.turns, Behind: -1,
	}
}

// transferFrom claims the waiter in front, if it can be handed the lock.
func (r *room) transferFrom(t *tenure) *transfer {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := &transfer{Passing: r.passing(), room: r, next: r.claimLocked(t)}
	x.Owner, x.Run, x.Behind, x.Stale = t.field, r.line.run, r.line.behind, r.line.ticket
	if x.next != nil {
		x.Neighbour, x.Lease = x.next.tenure.field, x.next.tenure.leaseFor(x.next.request)
		if r.line.open {
			x.Ticket, _ = r.ticketLocked(x.next)
		}
		x.Shorter = x.Lease < t.longestLocked()
		x.Ahead = x.Stale == "" && r.line.local < r.client.localTurns
		x.inside = x.Ahead && r.line.run < r.client.turns // else somebody may wait who does not know about tickets
	}
	return x
}

// claimLocked returns the waiter in front, with its tenure's turn, if it can be handed
// the lock; or nil.
func (r *room) claimLocked(from *tenure) *waiter {
	w := r.front()
	if w == nil || w.tenure == from || w.claimed || w.handed != nil || w.served != nil ||
		len(w.tenure.holds) > 0 {
		return nil
	}
	select {
	case <-w.ended:
		return nil
	default:
	}
	select {
	case w.tenure.turn <- struct{}{}:
	default:
		return nil // it is trying
	}
	if w.tenure.retired.Load() { // perhaps by whoever had the turn until now
		w.tenure.give()
		return nil
	}
	w.claimed = true
	w.tenure.fresh.Store(false)
	r.client.retain(w.tenure)
	return w
}

// run runs the script of a transfer.
func (x *transfer) run(ctx context.Context, c *Client) (err error) {
	defer func() { x.open = err != nil && (x.open || classify(err).unanswered) }()
	x.sent = time.Now()
	if x.inside {
		x.got.Successor = lua.Neighbour
		var told lua.Told
		if x.Shorter {
			told = c.told(x.room.names)
		}
		x.got.Released, err = lua.HandOver(ctx, c.rdb, x.Key, x.Owner, x.Neighbour, x.Lease, told)
		return err
	}
	x.got, err = lua.Pass(ctx, c.rdb, x.Passing)
	return err
}

// settle goes on after a transfer: with the waiter that was claimed for the lock, and
// with the watch over a grant to another process.
func (x *transfer) settle() {
	x.note()
	switch {
	case x.next == nil:
	case x.done && x.got.Successor == lua.Neighbour:
		t := x.next.tenure
		x.next.handOver(t.grant(context.WithoutCancel(x.next.ctx), x.next.request, 1, x.sent, x.Lease).hold)
	case x.open: // it is as if the waiter had tried in vain
		t := x.next.tenure
		x.room.client.retire(t)
		t.undoLater(x.next.ctx, x.Lease)
		x.next.unclaim()
	default:
		x.next.unclaim()
	}
}

// note notes in the room what a transfer means for the next ones.
func (x *transfer) note() {
	r := x.room
	r.mu.Lock()
	defer r.mu.Unlock()
	line := &r.line
	thought := x.Stale
	if x.next != nil {
		thought = x.Ticket
	}
	switch {
	case x.done && x.got.Successor == lua.Neighbour:
		line.queued(thought, "")
		if x.Run >= x.Most { // nobody waits for a public release
			line.run = 0
		}
		if !x.Ahead { // no other process waits
			line.local = 0
		}
		line.run++
		line.local++
	case x.done && x.got.Successor == lua.Stranger:
		r.client.anchored(anchor{sent: x.sent, server: x.got.Time})
		line.run, line.local = 0, 0
		line.queued(thought, x.Ticket)
		r.untilLocked(time.Now().Add(x.got.First + 2*heirDelay))
		r.mindLocked(x.got.First)
		r.nudgeLocked() // whoever is in front may have lost its place
	case x.done:
		line.run++
		if x.Run >= x.Most { // it was left to those who do not know about tickets
			line.run = 0
		}
		line.local = 0
		line.queued(thought, x.Ticket)
		if !r.activeLocked() {
			r.dueLocked()
		}
	default: // nothing has changed in the queue, or nobody knows
		line.queued(thought, x.Stale)
		r.dueLocked()
	}
}

// handOver gives a claimed waiter its hold, or gives the hold back if the waiter has
// left. It ends the claim.
func (w *waiter) handOver(h *Hold) {
	r := w.room
	r.mu.Lock()
	t := w.tenure // the waiter may have moved on once the turn is given
	w.claimed = false
	gone := w.gone
	if !gone {
		w.handed = h
		if h == nil {
			w.again = true
		}
		w.wake()
	}
	r.mu.Unlock()
	if gone && h != nil {
		t.undo(context.WithoutCancel(w.ctx), h)
	}
	t.give()
	r.client.leave(t) // the claim's
}

// unclaim lets a waiter go on as before.
func (w *waiter) unclaim() {
	r := w.room
	r.mu.Lock()
	t := w.tenure
	w.claimed = false
	var after func()
	if w.gone {
		after = w.abandonLocked()
	}
	w.wake()
	r.mu.Unlock()
	t.give()
	if after != nil {
		after()
	}
	r.client.leave(t) // the claim's
}

// ended ends all holds of a tenure as given back, and their minimum with them.
func (t *tenure) ended() {
	t.room.mu.Lock()
	t.keptUntil = time.Time{}
	ending := t.endLocked(nil, t.holds)
	t.room.mu.Unlock()
	t.settle(ending)
}
