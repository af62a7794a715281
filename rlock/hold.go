package rlock

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-rlock/rlock/watchdog"
)

// A Hold is one successful Lock or TryLock. It ends with Unlock, with a fixed lease
// or maximum hold, when the lock is lost, or when the Client is closed, and then
// never comes back. Its methods may be called from any goroutine, by several at
// once, and in any order among the holds of one owner.
//
// What the holder did before Unlock happens before what the next owner of the lock
// does after its Lock returned, if both are in this process; between processes the
// lock orders what goes through the same Redis server.
type Hold struct {
	tenure *tenure
	parent context.Context // of Lock: for its values
	lease  time.Duration   // fixed lease; 0: renewed by the watchdog
	least  time.Duration   // for how long the lock stays taken at least
	limit  time.Time       // when the hold ends by itself; zero: never

	// What follows is protected by tenure.room.mu.

	from        time.Time // when this process knew of it
	trust       watchdog.Trust
	provisional bool // the server has, or may have, a shorter lease; it is to be asked again
	known       bool // Lock has returned it
	leaving     bool // Unlock was called, or nobody will have it
	failed      bool // Unlock has returned a failure
	ended       bool
	err         error // why it ended; nil after Unlock
	ctx         context.Context
	stop        context.CancelCauseFunc

	// What follows is the alarm's.

	at    time.Time
	index int

	pursued atomic.Bool // a release that failed is tried again
	// uncertain: a script that releases stayed unanswered. Protected by the turn, and by the
	// pause of renewals, which look at it, while a script releases.
	uncertain bool
}

// Name returns the name of the lock.
func (h *Hold) Name() string { return h.tenure.room.names.lock }

// Owner returns to whom the hold belongs. A context with it, made by WithOwner, lets
// another goroutine re-enter.
func (h *Hold) Owner() Owner { return h.tenure.owner }

// Unlock gives the hold back: the lock becomes free and the next waiter is woken,
// unless the owner has other holds on it, or its WithMinHold is not over. It returns
// when the server has answered. The context's end does not keep the lock from being
// released: with a context that has ended or ends meanwhile, Unlock goes on for the
// grace period, and the release goes on after that.
//
// A server that is silent makes it block for 5 s at most, or for the grace period after
// the context's end if that is sooner. With a context that cannot end (Background,
// WithoutCancel), it blocks until the Redis client gives up, or the grace period ends if
// that is later: up to 10 s by default, see the ConnWriteTimeout of rueidis.
//
// A second call returns nil after a success, tries again after a failure, and after
// a loss every call returns the *LostError. After any other error it is unknown
// whether the lock is free. If it is not, it ends with its lease at the latest, which
// is no longer renewed; until then the Client goes on trying to give it back.
func (h *Hold) Unlock(ctx context.Context) error {
	if err := h.unlock(ctx); err != nil {
		return explain("unlock", h.Name(), err)
	}
	return nil
}

func (h *Hold) unlock(ctx context.Context) error {
	t, c := h.tenure, h.tenure.client
	if !h.depart() {
		return h.reported()
	}
	defer c.leave(t)
	err := h.giveBack(ctx)
	if err == nil || errors.Is(err, ErrLost) || errors.Is(err, ErrClosed) && h.check() {
		return h.reported()
	}
	t.room.mu.Lock()
	h.failed = true
	t.room.mu.Unlock()
	return err
}

// giveBack has the tenure release the hold, as far as the caller's patience goes.
func (h *Hold) giveBack(ctx context.Context) error {
	t, c := h.tenure, h.tenure.client
	p := patience{ctx: ctx, extra: c.gracePeriod}
	if p.endless() {
		if !c.begin() {
			return ErrClosed
		}
		defer c.finish(nil)
		return t.leave(ctx, h)
	}
	_, err := c.apart(t, p, func(ctx context.Context) error { return t.leave(ctx, h) })
	return err
}

// Context returns a context for the work under the lock. It has the values of the
// context that Lock was given but not its end, so that a time limit on waiting does
// not limit the work. It ends when the hold ends: with the cause context.Canceled
// after Unlock, with the *LostError after a loss. All calls return the same context.
//
// Err and Done of the context look at the clocks, as those of the Hold do. Contexts
// derived from it end with it, but do not look for themselves.
func (h *Hold) Context() context.Context {
	room := h.tenure.room
	room.mu.Lock()
	defer room.mu.Unlock()
	if h.ctx == nil {
		ctx, stop := context.WithCancelCause(context.WithoutCancel(h.parent))
		h.ctx, h.stop = &lookingContext{ctx, func() { h.check() }}, stop
		if h.ended {
			stop(h.err)
		}
	}
	return h.ctx
}

// Done returns a channel that is closed when the hold has ended. It looks at the
// clocks first: in a process that was stopped for longer than the lease, the first
// call returns a closed channel, whether or not a timer has fired yet.
func (h *Hold) Done() <-chan struct{} { return h.Context().Done() }

// Err returns nil while the hold lasts and after it was unlocked, else the
// *LostError that tells why it ended. It looks at the clocks, as Done does.
func (h *Hold) Err() error {
	if h.check() {
		return h.err
	}
	return nil
}

// lost returns the error of a hold that has ended.
func (h *Hold) lost() error {
	h.tenure.room.mu.Lock()
	defer h.tenure.room.mu.Unlock()
	return h.err
}

// reported returns the error of a hold that has ended to the caller who gives it
// back, which settles the matter.
func (h *Hold) reported() error {
	if h.err != nil {
		_ = h.tenure.client.losses.take(lossKey{h.Name(), h.Owner()})
	}
	return h.err
}

// deliver notes that somebody gets the hold, who has waited for it or not.
func (h *Hold) deliver(waited bool) {
	t := h.tenure
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	h.known = true
	if len(t.holds) == 1 {
		t.room.line.waited = waited
	}
	if until := h.from.Add(h.least); h.least > 0 && !h.ended && until.After(t.keptUntil) {
		t.keptUntil = until
	}
}

// check ends the hold if its time is over and reports whether it has ended.
func (h *Hold) check() (ended bool) {
	t := h.tenure
	t.room.mu.Lock()
	ending := h.overLocked()
	ended = h.ended
	t.room.mu.Unlock()
	t.settle(ending)
	if ended { // whoever ended it may not have come to that yet
		h.cancel()
	}
	return ended
}

// depart is check for a caller who wants to give the hold back, which is no longer renewed.
// If it has not ended, the tenure is kept for the caller, until leave: the hold may end by
// itself while it is given back.
func (h *Hold) depart() (lasts bool) {
	t := h.tenure
	t.room.mu.Lock()
	h.leaving = true
	ending := h.overLocked()
	lasts = !h.ended
	if lasts {
		t.client.retain(t)
	}
	t.room.mu.Unlock()
	t.settle(ending)
	return lasts
}

// overLocked ends the hold if its time is over. The caller settles it without the lock.
func (h *Hold) overLocked() (ending []*Hold) {
	t := h.tenure
	if h.ended || !h.trust.Over(time.Now()) {
		return nil
	}
	reason, err := Expired, error(nil)
	if h.lease == 0 && !h.spentLocked() && (t.asked || t.failed != nil) {
		reason, err = Unreachable, t.failed
		if err == nil {
			err = &fault{err: errNoAnswer, unanswered: true}
		}
	}
	return t.loseLocked(reason, err, []*Hold{h})
}

// spentLocked reports whether the trust goes as far as the hold's limit lets it: no renewal
// would have prolonged it.
func (h *Hold) spentLocked() bool {
	longest := max(h.tenure.client.watchdogTimeout, h.least)
	return !h.limit.IsZero() && !h.trust.Until().Add(watchdog.Margin(longest)).Before(h.limit)
}

// expire is called by the alarm.
func (h *Hold) expire() {
	if h.check() {
		return
	}
	h.tenure.room.mu.Lock()
	defer h.tenure.room.mu.Unlock()
	if h.ended {
		return
	}
	if h.provisional {
		h.tenure.watch.Renew()
	}
	h.tenure.client.alarm.set(h, h.trust.Until())
}

// cancel ends the context of a hold that has ended, if anybody asked for it.
func (h *Hold) cancel() {
	h.tenure.room.mu.Lock()
	stop, cause := h.stop, h.err
	h.tenure.room.mu.Unlock()
	if stop != nil {
		stop(cause)
	}
}

// due returns the lease that the server shall have for the hold from now on. It ends
// where the hold does, so that stating it again does not prolong a fixed lease.
func (h *Hold) due(now time.Time) time.Duration {
	if h.leaving {
		return 0
	}
	timeout := h.tenure.client.watchdogTimeout
	switch {
	case h.limit.IsZero():
		return timeout
	case h.lease > 0:
		return max(0, h.limit.Sub(now))
	default:
		return max(0, min(timeout, h.limit.Sub(now)))
	}
}

// renewedLocked extends the trust after a renewal that was sent at the given time and asked
// for the given lease. That may be too short for a hold which was taken since.
func (h *Hold) renewedLocked(sent time.Time, asked time.Duration) {
	lease := h.due(sent)
	if lease == 0 || lease > asked || h.lease > 0 && !h.provisional {
		return
	}
	sure := h.tenure.sureLocked(lease)
	h.trust = h.trust.Later(watchdog.Since(sent, sure))
	h.provisional = sure < lease
	if h.provisional {
		h.tenure.client.alarm.set(h, sent.Add(sure/3))
		return
	}
	h.tenure.client.alarm.set(h, h.trust.Until())
}

// A lookingContext looks at the clocks, to end in time, when it is asked whether it has ended.
type lookingContext struct {
	context.Context

	look func()
}

func (c *lookingContext) Done() <-chan struct{} {
	c.look()
	return c.Context.Done()
}

func (c *lookingContext) Err() error {
	c.look()
	return c.Context.Err()
}
