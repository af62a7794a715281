package rlock

import (
	"container/list"
	"context"
	"time"
)

// A waiter is one goroutine in a room.
type waiter struct {
	room    *room
	tenure  *tenure
	ctx     context.Context // of its Lock
	ended   <-chan struct{} // that of ctx, whose methods may look at holds: none is called under room.mu
	request request
	place   *list.Element
	began   time.Time
	waited  bool          // others had the lock when it tried, or it was served
	nudge   chan struct{} // one slot: look again
	timer   *time.Timer

	// What follows is protected by room.mu.

	again   bool   // try, wherever in the queue: the owner got the lock elsewhere
	owed    bool   // a ticket of an earlier attempt was served: the lock may be the owner's
	attempt uint64 // of the ticket that was left for it; 0: none
	served  *grant // the answer to that ticket
	claimed bool   // a release under way may hand the lock to it
	gone    bool   // it left meanwhile
	handed  *Hold  // it was handed the lock
	hurried bool   // its next try is its last
}

// join adds a waiter, at the end.
func (r *room) join(a *acquisition) *waiter {
	now := time.Now()
	w := &waiter{
		room: r, tenure: a.tenure, ctx: a.ctx, ended: a.ctx.Done(), request: a.request,
		began: now, nudge: make(chan struct{}, 1), timer: time.NewTimer(time.Hour),
	}
	r.mu.Lock()
	w.place = r.queue.PushBack(w)
	w.tenure.waiting++
	w.again = len(w.tenure.standingLocked()) > 0 // since it was looked whether the owner has the lock
	if r.linger != nil {
		r.linger.Stop()
	}
	listen := !r.joined
	r.joined = true
	r.mu.Unlock()
	if listen {
		r.listen()
	}
	return w
}

// knows tells a new waiter what its attempt has found, and what was known before: the news
// since may be the very release that is being waited for.
func (w *waiter) knows(before glance, got outcome) {
	r := w.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takenLocked(got)
	if r.front() == w { // else whoever is in front heard it
		r.due = r.activeLocked() && before != glance{active: true, news: r.news}
	}
}

// knowsNothing tells a new waiter that it shall find out for itself, if it is in front, and
// reports whether it is: else it waits before it tries, and a fault is not its first.
func (w *waiter) knowsNothing() (front bool) {
	r := w.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if front = r.front() == w; front {
		r.due = true
	}
	return front
}

// hurry makes the next try the last one, which leaves no ticket.
func (w *waiter) hurry() {
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	w.hurried = true
}

// owedLocked makes the waiter try because the lock may be its owner's, by a ticket of an earlier
// attempt. If it leaves before it has tried, it passes the lock on.
func (w *waiter) owedLocked() {
	w.tenure.fresh.Store(false)
	w.again, w.owed = true, true
	w.wake()
}

// owes notes whether the lock may be the owner's, and reports whether it might be before.
func (w *waiter) owes(owed bool) (before bool) {
	if w == nil {
		return false
	}
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	before, w.owed = w.owed, owed
	return before
}

// pick returns what the waiter was handed, once, or nil.
func (w *waiter) pick() *Hold {
	if w == nil {
		return nil
	}
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	h := w.handed
	w.handed = nil
	return h
}

// leave removes a waiter. Whoever is in front then goes on with what is known.
func (w *waiter) leave() {
	r := w.room
	w.timer.Stop()
	r.mu.Lock()
	r.queue.Remove(w.place)
	w.tenure.waiting--
	after := w.abandonLocked()
	if r.queue.Len() > 0 {
		r.nudgeLocked()
	} else if r.linger == nil {
		r.linger = time.AfterFunc(linger, r.quit)
	} else {
		r.linger.Reset(linger)
	}
	r.mu.Unlock()
	if after != nil {
		after()
	}
}

func (w *waiter) wake() {
	select {
	case w.nudge <- struct{}{}:
	default: // it will look anyway
	}
}

// move makes the waiter wait on behalf of another tenure of the same owner. What the server
// gave to the earlier one is of no use to it under another name, and is passed on.
func (w *waiter) move(t *tenure) {
	r := w.room
	r.mu.Lock()
	earlier, granted := w.tenure, w.served != nil || w.owed
	earlier.waiting--
	w.tenure, w.served, w.owed = t, nil, false
	t.waiting++
	r.mu.Unlock()
	if granted {
		r.client.forward(r, earlier.field)
	}
}

// await blocks until the waiter shall try or has been served, and returns nil; or
// returns why it shall not: errWaited at the deadline, the error of ctx, ErrClosed, or
// the fault that has interrupted the channels for longer than the grace period.
func (w *waiter) await(ctx context.Context, deadline time.Time) error {
	c := w.room.client
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		if c.isClosing() {
			return ErrClosed
		}
		now := time.Now()
		try, next, err := w.look(now)
		if try || err != nil {
			return err
		}
		if !deadline.IsZero() && !now.Before(deadline) {
			return errWaited
		}
		if next.IsZero() || (!deadline.IsZero() && deadline.Before(next)) {
			next = deadline
		}
		var alarm <-chan time.Time
		if !next.IsZero() {
			w.timer.Reset(next.Sub(now))
			alarm = w.timer.C
		}
		select {
		case <-w.nudge:
		case <-alarm:
		case <-c.closing:
		case <-ctx.Done():
		}
	}
}

// look reports whether the waiter shall go on now, else when it shall look again
// (zero: when it is nudged), or that waiting is of no use.
func (w *waiter) look(now time.Time) (proceed bool, next time.Time, err error) {
	r := w.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.again || w.handed != nil || w.served != nil {
		w.again = false
		return true, next, nil
	}
	if r.front() == w && !w.claimed {
		due := r.due || r.placelessLocked(w)
		if due && r.after.After(now) {
			next = r.after
		} else if due || !r.until.IsZero() && !now.Before(r.until) {
			r.due = false
			r.until = time.Time{}
			return true, next, nil
		} else {
			next = r.until
		}
	}
	if r.fault != nil {
		end := r.since.Add(r.client.gracePeriod)
		if w.began.After(r.since) {
			end = w.began.Add(r.client.gracePeriod)
		}
		if !now.Before(end) {
			return false, next, classify(r.fault)
		}
		if next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return false, next, nil
}
