package rlock

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// forever is the wait of Lock.
const forever time.Duration = -1

// errWaited means that a bounded wait is over.
var errWaited = errors.New("waited long enough")

// An acquisition is one call of Lock or TryLock under way.
type acquisition struct {
	lock    *Lock
	ctx     context.Context
	request request
	tenure  *tenure

	wait     time.Duration
	deadline time.Time // of waiting; zero: none
	limit    time.Time // of everything; zero: none
}

// lock is Lock and TryLock.
func (l *Lock) lock(ctx context.Context, wait time.Duration, options []LockOption) (*Hold, error) {
	r, err := newRequest(options)
	if err != nil {
		return nil, err
	}
	owner, err := l.check(ctx)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ended(ctx)
	}
	a := &acquisition{lock: l, ctx: ctx, request: r, wait: wait}
	if wait != forever {
		a.deadline = time.Now().Add(wait)
		a.limit = a.deadline.Add(l.client.gracePeriod)
	}
	if !l.client.begin() {
		return nil, ErrClosed
	}
	defer l.client.finish(nil)
	a.tenure = l.client.enter(l, owner)
	defer func() { l.client.leave(a.tenure) }()
	h, waited, err := a.run() //nolint:contextcheck // scripts run apart from their caller, with its values
	if h != nil {
		h.deliver(waited)
	}
	return h, err
}

// run tries, and then waits and tries in turn.
func (a *acquisition) run() (h *Hold, waited bool, err error) {
	room := a.tenure.room
	if a.wait != 0 && a.tenure.standing() == 0 && room.crowded() {
		w := room.join(a)
		defer w.leave()
		front := w.knowsNothing()
		h, err = a.waitIn(room, w, !front)
		return h, w.waited, err
	}
	before := room.glance()
	first := a.try(nil)
	if first.hold != nil || first.err != nil {
		return first.hold, false, first.err
	}
	if a.wait == 0 {
		return nil, false, a.notAcquired(first.ttl)
	}
	w := room.join(a)
	defer w.leave()
	w.knows(before, first)
	h, err = a.waitIn(room, w, true)
	return h, true, err
}

// waitIn waits for turns to try, or to be served, until one succeeds or there is no
// point in going on. Answered says whether the server has answered this call before.
func (a *acquisition) waitIn(room *room, w *waiter, answered bool) (*Hold, error) {
	delay := firstDelay
	for {
		waited := w.await(a.ctx, a.deadline)
		last := errors.Is(waited, errWaited)
		if waited != nil && !last {
			return nil, waited
		}
		began := time.Now()
		got, served := a.served(w)
		if !served {
			// The last try tells contention from a server that has fallen silent.
			if last {
				w.hurry()
			}
			got = a.try(w)
		}
		switch {
		case got.hold != nil:
			w.waited = w.waited || served
			return got.hold, nil
		case got.err == nil:
			if last {
				return nil, a.notAcquired(got.ttl)
			}
			room.taken(got)
			w.waited, answered, delay = true, true, firstDelay
		case last || !answered || !passing(got.err):
			room.unused()
			return nil, got.err
		default:
			room.troubled(got.err, began, delay)
			delay = min(2*delay, longestDelay)
		}
	}
}

// firstDelay and longestDelay lie between attempts that meet faults.
const (
	firstDelay   = 20 * time.Millisecond
	longestDelay = 250 * time.Millisecond
)

// served returns what others have done for the waiter: it was handed the lock, or a
// message says that its ticket was served. It reports false if there is nothing, or
// nothing that can be trusted.
func (a *acquisition) served(w *waiter) (outcome, bool) {
	r := w.room
	if h := w.pick(); h != nil {
		return outcome{hold: h}, true
	}
	r.mu.Lock()
	g := w.served
	w.served = nil
	r.mu.Unlock()
	switch {
	case g != nil && g.lease < a.request.minHold: // it must not end if this process dies now
		w.owes(true)
		return outcome{}, false
	case g != nil:
		got, ok := a.accept(g)
		if !ok {
			w.owes(true)
		}
		return got, ok
	default:
		return outcome{}, false
	}
}

// try runs one attempt, for a waiter or nil.
func (a *acquisition) try(w *waiter) outcome {
	for {
		owed := w.owes(false)
		got := a.tenure.attempt(patience{ctx: a.ctx, limit: a.limit}, a.request, w)
		if got.err != nil && owed {
			w.owes(true) // it still does not know
		}
		if !errors.Is(got.err, errRetired) {
			return got
		}
		retired := a.tenure
		a.tenure = retired.client.enter(a.lock, retired.owner)
		if w != nil {
			w.move(a.tenure)
		}
		retired.client.leave(retired)
	}
}

func (a *acquisition) notAcquired(ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("%w within %v: its holder's lease never ends", ErrNotAcquired, a.wait)
	}
	return fmt.Errorf("%w within %v: its holder's lease goes on for %v unless it is renewed or released", ErrNotAcquired, a.wait, ttl)
}
