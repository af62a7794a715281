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
	a.tenure = l.client.enter(l, owner)
	defer func() { l.client.leave(a.tenure) }()
	return a.run() //nolint:contextcheck // scripts run apart from their caller, with its values
}

// run tries, and then waits and tries in turn.
func (a *acquisition) run() (*Hold, error) {
	room := a.tenure.room
	before := room.glance()
	first := a.try()
	if first.hold != nil || first.err != nil {
		return first.hold, first.err
	}
	if a.wait == 0 {
		return nil, a.notAcquired(first.ttl)
	}
	w := room.join(a.tenure, before, first.ttl)
	defer w.leave()
	return a.waitIn(room, w)
}

// waitIn waits for turns to try until one succeeds or there is no point in going on.
func (a *acquisition) waitIn(room *room, w *waiter) (*Hold, error) {
	var faulty time.Time // since when attempts meet faults
	delay := firstDelay
	for {
		waited := w.await(a.ctx, a.deadline)
		last := errors.Is(waited, errWaited)
		if waited != nil && !last {
			return nil, waited
		}
		// The last try tells contention from a server that has fallen silent.
		began := time.Now()
		got := a.try()
		w.move(a.tenure)
		if got.hold != nil {
			return got.hold, nil
		}
		if got.err == nil {
			if last {
				return nil, a.notAcquired(got.ttl)
			}
			room.taken(got.ttl)
			faulty, delay = time.Time{}, firstDelay
			continue
		}
		if faulty.IsZero() {
			faulty = began
		}
		if last || !passing(got.err) || time.Since(faulty) >= a.lock.client.gracePeriod {
			room.unused()
			return nil, got.err
		}
		room.later(delay)
		delay = min(2*delay, longestDelay)
	}
}

// firstDelay and longestDelay lie between attempts that meet faults.
const (
	firstDelay   = 20 * time.Millisecond
	longestDelay = 250 * time.Millisecond
)

// try runs one attempt.
func (a *acquisition) try() outcome {
	for {
		got := a.tenure.attempt(patience{ctx: a.ctx, limit: a.limit}, a.request)
		if !errors.Is(got.err, errRetired) {
			return got
		}
		retired := a.tenure
		a.tenure = retired.client.enter(a.lock, retired.owner)
		retired.client.leave(retired)
	}
}

func (a *acquisition) notAcquired(ttl time.Duration) error {
	if ttl < 0 {
		return fmt.Errorf("%w within %v: its holder's lease never ends", ErrNotAcquired, a.wait)
	}
	return fmt.Errorf("%w within %v: its holder's lease goes on for %v unless it is renewed or released", ErrNotAcquired, a.wait, ttl)
}
