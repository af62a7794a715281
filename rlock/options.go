package rlock

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	defaultWatchdogTimeout = 30 * time.Second
	defaultGracePeriod     = time.Second
	defaultLocalTurns      = 8
	defaultTurns           = 7

	// minDuration is the unit of the wire.
	minDuration = time.Millisecond
	// maxDuration keeps sums of durations and dates from overflowing.
	maxDuration = 100 * 365 * 24 * time.Hour
)

// settings are what the options of New set.
type settings struct {
	watchdogTimeout time.Duration
	gracePeriod     time.Duration
	log             *slog.Logger
	handover        bool
	localTurns      int
	turns           int
}

// An Option sets something of a Client. New refuses one with a bad value.
type Option func(*settings) error

// WithWatchdogTimeout sets the lease of locks without a lease of their own, 30 s by
// default. The watchdog renews it every third of that time. It is how long a lock
// stays taken after its process died, and the counterpart of Redisson's
// lockWatchdogTimeout.
func WithWatchdogTimeout(d time.Duration) Option {
	return func(s *settings) error {
		s.watchdogTimeout = d
		return checkDuration("watchdog timeout", d)
	}
}

// WithGracePeriod sets how long a call that already waits for a lock rides out a
// fault of the server before it returns that fault, 1 s by default. It is also how
// much longer than its wait TryLock may take when the server does not answer, and
// how long Unlock goes on after its context ended.
func WithGracePeriod(d time.Duration) Option {
	return func(s *settings) error {
		s.gracePeriod = d
		return checkDuration("grace period", d)
	}
}

// WithHandover sets whether a released lock is handed to the next waiter, by default
// true. With false, releases are published and all waiting processes try, as Redisson
// does, and nothing is on the wire but what Redisson writes. Clients with both settings
// may share a lock.
func WithHandover(on bool) Option {
	return func(s *settings) error {
		s.handover = on
		return nil
	}
}

// WithTurns sets for how long a lock is handed on before others get their turn: at most
// local times in a row inside this process while another process waits that knows about
// handing over, and at most total times in a row in all processes while somebody waits
// who does not, such as Redisson. By default 8 and 7.
//
// A turn inside a process costs Redis about half of one between processes. With 8 processes
// of 8 goroutines, 8 local turns have nearly the rate that more have, and from 16 on the
// 99th percentile of the wait doubles with each doubling (BenchmarkTurns measures both).
// After total turns the lock is released in public, which wakes a crowd; with 7, a Redisson
// waiter among Go waiters gets one turn in eight.
func WithTurns(local, total int) Option {
	return func(s *settings) error {
		s.localTurns, s.turns = local, total
		if local < 1 || total < 1 {
			return fmt.Errorf("turns are %d and %d; both must be at least 1", local, total)
		}
		return nil
	}
}

// WithLogger sets where the Client logs what no caller can be told: a renewal that
// is tried again, a refused PUBLISH. By default, or with nil, it logs nothing.
func WithLogger(log *slog.Logger) Option {
	return func(s *settings) error {
		if log != nil {
			s.log = log
		}
		return nil
	}
}

// request is what the options of Lock, TryLock and Do set.
type request struct {
	lease   time.Duration // fixed lease; 0: the watchdog keeps the hold
	maxHold time.Duration // 0: for as long as it likes
	minHold time.Duration // 0: no longer than it likes
}

// A LockOption sets something of one hold. A bad value is an error of the call that
// it was given to.
type LockOption func(*request) error

// WithLease gives the hold a fixed lease: it ends by itself after d, at least 1 ms,
// rounded up to whole milliseconds on the server, and the watchdog does not renew it. Without
// it the hold lasts until Unlock.
func WithLease(d time.Duration) LockOption {
	return func(r *request) error {
		r.lease = d
		return checkDuration("lease", d)
	}
}

// WithMaxHold lets the watchdog keep the hold for at most d, at least 1 ms: then it
// ends as an expired lease does, even if nobody unlocked. It guards against a
// goroutine that died or hangs with a lock in hand.
func WithMaxHold(d time.Duration) LockOption {
	return func(r *request) error {
		r.maxHold = d
		return checkDuration("max hold", d)
	}
}

// WithMinHold keeps the lock taken for at least d, at least 1 ms, after it was acquired:
// also if it is unlocked before, if the Client is closed, or if the process dies. It is for
// jobs that one of several instances runs at a certain time: an instance whose clock is a
// little behind must not find the lock free again because the job was short. The idea is
// ShedLock's lockAtLeastFor.
//
// An Unlock before that ends the hold as ever, but the lock stays taken for the rest of
// the time. Nobody gets it before, not the same owner either, unless ForceUnlock frees it;
// waiters are told when it ends. Of several holds of an owner, the longest time counts.
//
// A fixed lease or a maximum hold must not be shorter. Where there is none, the watchdog
// keeps the hold for as long as it lasts, and a process that dies leaves the lock taken for
// d or the watchdog timeout, whichever is longer.
func WithMinHold(d time.Duration) LockOption {
	return func(r *request) error {
		r.minHold = d
		return checkDuration("min hold", d)
	}
}

func checkDuration(what string, d time.Duration) error {
	if d < minDuration || d > maxDuration {
		return fmt.Errorf("%s is %v; it must be from %v to %v", what, d, minDuration, maxDuration)
	}
	return nil
}

func newRequest(options []LockOption) (request, error) {
	if len(options) == 0 {
		return request{}, nil
	}
	var r request
	for _, option := range options {
		if option == nil {
			return request{}, fmt.Errorf("a lock option is nil")
		}
		if err := option(&r); err != nil {
			return request{}, err
		}
	}
	if r.lease != 0 && r.maxHold != 0 {
		return request{}, fmt.Errorf("lease is %v and max hold is %v; a hold has one or the other, because a fixed lease is not renewed anyway", r.lease, r.maxHold)
	}
	if r.lease != 0 && r.minHold > r.lease {
		return request{}, fmt.Errorf("min hold is %v and lease is %v; the lease must be as long as the min hold, because it is not renewed", r.minHold, r.lease)
	}
	if r.maxHold != 0 && r.minHold > r.maxHold {
		return request{}, fmt.Errorf("min hold is %v and max hold is %v; the max hold must be as long as the min hold", r.minHold, r.maxHold)
	}
	return r, nil
}
