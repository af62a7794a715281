package rlock

import (
	"context"
	"strings"

	"github.com/go-rlock/rlock/lua"
)

// abandonLocked settles what was meant for a waiter that leaves. The caller runs what
// it returns without the lock.
func (w *waiter) abandonLocked() (after func()) {
	switch {
	case w.claimed:
		w.gone = true
		return nil
	case w.handed != nil:
		h := w.handed
		w.handed, h.leaving = nil, true // the owner's next hold does not count it
		if h.ended {
			return nil
		}
		w.room.client.retain(h.tenure) // the hold may end before it is given back
		return func() {
			w.room.client.discard(h)
			w.room.client.leave(h.tenure)
		}
	case w.served != nil:
		owner := w.served.owner
		w.served = nil
		return func() { w.room.client.forward(w.room, owner) }
	case w.owed:
		owner, withdraw := w.tenure.field, w.withdrawLocked()
		return func() {
			if withdraw != nil {
				withdraw()
			}
			w.room.client.forward(w.room, owner)
		}
	default:
		return w.withdrawLocked()
	}
}

// withdrawLocked leaves the place in the queue of processes to whoever is in front
// now, or gives it up.
func (w *waiter) withdrawLocked() (after func()) {
	r := w.room
	if r.queue.Len() == 0 {
		return r.retreatLocked()
	}
	if r.line.ticket != "" && w.attempt == r.line.attempt {
		r.dueLocked() // its ticket takes the place
	}
	return nil
}

// retreatLocked gives up the place in the queue of processes, which nobody waits for any
// more. Where this process has the lock, whoever gives that back gives up the place too: it
// must not be served itself.
func (r *room) retreatLocked() (after func()) {
	ticket := r.line.ticket
	if ticket == "" || len(r.holders) > 0 {
		return nil
	}
	r.line.ticket = ""
	return func() { r.client.withdraw(r, ticket) }
}

// retreat is retreatLocked when this process has the lock no more, if nobody waits.
func (r *room) retreat() {
	var after func()
	r.mu.Lock()
	if r.queue.Len() == 0 {
		after = r.retreatLocked()
	}
	r.mu.Unlock()
	if after != nil {
		after()
	}
}

// discard gives back a hold that was handed to a waiter who has left.
func (c *Client) discard(h *Hold) {
	c.start(h.tenure, func() {
		h.tenure.take()
		defer h.tenure.give()
		h.tenure.undo(context.Background(), h)
	})
}

// withdraw takes back a ticket, and passes the lock on if it was served meanwhile.
func (c *Client) withdraw(r *room, ticket string) {
	c.inName(r, leftBy(ticket), func(t *tenure) {
		var served bool
		_, f := c.ask(context.Background(), func(ctx context.Context) (err error) {
			served, err = lua.Withdraw(ctx, c.rdb, r.names.lock, r.names.queue, t.field, ticket)
			return err
		})
		if f == nil && served {
			t.decline()
		}
	})
}

// forward passes on a grant that nobody in this process waits for.
func (c *Client) forward(r *room, field string) { c.inName(r, field, (*tenure).decline) }

// inName runs a task apart from its caller, in the turn of the tenure with that name on the
// wire, whether or not somebody has it.
func (c *Client) inName(r *room, field string, task func(*tenure)) {
	c.start(nil, func() {
		t := c.adopt(r, field)
		defer c.leave(t)
		t.take()
		defer t.give()
		task(t)
	})
}

// decline passes on a lock that the server gave to the tenure, unless it is wanted. The
// caller has the tenure's turn.
func (t *tenure) decline() {
	t.room.mu.Lock()
	wanted := len(t.holds) > 0
	if t.waiting > 0 && !t.retired.Load() { // else nobody will try by this name again
		wanted = true
		t.room.owedLocked(t)
	}
	t.room.line.behind = -1 // the message that says how many are may not have come
	t.room.mu.Unlock()
	if wanted {
		return
	}
	var uncertain bool
	_, err := t.passOn(context.Background(), &uncertain)
	switch {
	case passing(err):
		t.client.retire(t) // who gives it back later must not find another hold of the owner
		t.undoLater(context.Background(), t.client.watchdogTimeout)
	case err != nil:
		t.client.warn("a lock that was granted too late cannot be passed on; it ends with its lease",
			"lock", t.room.names.lock, "error", err)
	}
}

// leftBy returns the name on the wire of the owner who left a ticket.
func leftBy(ticket string) string {
	owner, _, _ := strings.Cut(ticket, " ")
	return owner
}

// surrenderTicket takes the process's ticket back when the client is closed.
func (r *room) surrenderTicket(ctx context.Context, ticket string) error {
	c := r.client
	owner := leftBy(ticket)
	t := c.adopt(r, owner)
	defer c.leave(t)
	t.take() // an attempt that leaves the ticket may be under way
	defer t.give()
	var served bool
	_, f := c.insist(ctx, func(ctx context.Context) (err error) {
		served, err = lua.Withdraw(ctx, c.rdb, r.names.lock, r.names.queue, owner, ticket)
		return err
	})
	if f != nil {
		return f
	}
	if served {
		return r.surrender(ctx, owner)
	}
	return nil
}
