package rlock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// A Lock is a name for a reentrant lock that all processes share which use the same
// server, be they written in Go with this package or in Java with Redisson's RLock.
// It is a cheap, immutable handle: it holds nothing itself, and may be used by
// several goroutines at once. Client.NewLock makes it.
//
// A lock belongs to an [Owner]: the goroutine that locks, or the owner in the
// context. The same owner may lock again, which is one more hold, and everybody else
// waits until it has given back all of them.
//
// A goroutine that serves one request after another is one owner all the time. A
// hold that it hands to a background goroutine lets its next request in; use
// WithOwner for holds that outlive the function that took them.
type Lock struct {
	client  *Client
	names   names
	invalid error // why the name cannot work
}

// Name returns the lock's name.
func (l *Lock) Name() string { return l.names.lock }

// Lock waits until the lock is the owner's, or ctx ends. Without options the hold
// lasts until Unlock: the watchdog renews its lease for as long as the process lives.
//
// If the lock is free, that is one round trip. If not, the caller queues, and sleeps until
// the lock is handed to it, a release is published, or the present lease ends. Waiters of
// one process are served in the order in which they came, and so are processes, by their
// first waiters; see WithHandover and WithTurns.
//
// On success the caller must give the hold back. On failure nothing is held: an
// attempt that was under way is awaited in the background and undone. The error
// wraps that of ctx if it ended, ErrClosed, or the fault of the server: at once if
// the first attempt met it, after the grace period if the caller was waiting already.
// It is never ErrNotAcquired.
func (l *Lock) Lock(ctx context.Context, options ...LockOption) (*Hold, error) {
	h, err := l.lock(ctx, forever, options)
	if err != nil {
		return nil, explain("lock", l.names.lock, err)
	}
	return h, nil
}

// TryLock waits for at most the given time, 0 for not at all, and returns an error
// that wraps ErrNotAcquired if somebody else has the lock until then. A negative wait is
// an error of its own. Everything else is as with Lock. Wait and lease have nothing to do
// with each other.
//
// A server that does not answer is a fault and not contention; TryLock returns it, as
// ErrUnavailable, when the wait and the grace period are over. A program that must not wait
// a second longer for a silent server makes the grace period shorter; see WithGracePeriod.
func (l *Lock) TryLock(ctx context.Context, wait time.Duration, options ...LockOption) (*Hold, error) {
	if wait < 0 {
		return nil, explain("try lock", l.names.lock, fmt.Errorf("wait is %v; it must be 0, for no wait, or more", wait))
	}
	h, err := l.lock(ctx, wait, options)
	if err != nil {
		return nil, explain("try lock", l.names.lock, err)
	}
	return h, nil
}

// Unlock gives back the innermost hold that the owner has, as Hold.Unlock does, and blocks
// for as long. The owner is the calling goroutine or that of ctx; it does not matter which
// of its holds came from where. The error wraps ErrNotHeld if there is none, and ErrLost
// besides if there was one that was lost and whose Hold has not reported it.
func (l *Lock) Unlock(ctx context.Context) error {
	if err := l.unlock(ctx); err != nil {
		return explain("unlock", l.names.lock, err)
	}
	return nil
}

func (l *Lock) unlock(ctx context.Context) error {
	owner, err := l.check(ctx)
	if err != nil {
		return err
	}
	if t := l.client.find(l, owner); t != nil {
		if h := t.innermost(); h != nil {
			err := h.unlock(ctx)
			if errors.Is(err, ErrLost) {
				return fmt.Errorf("%w: %w", ErrNotHeld, err)
			}
			return err
		}
	}
	if lost := l.client.losses.take(lossKey{l.names.lock, owner}); lost != nil {
		return fmt.Errorf("%w: %w", ErrNotHeld, lost)
	}
	return ErrNotHeld
}

// innermost returns the hold that an Unlock without a Hold means, and claims it, so
// that a second Unlock means another one.
func (t *tenure) innermost() *Hold {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	var failed *Hold // whose release is tried again
	for i := len(t.holds) - 1; i >= 0; i-- {
		h := t.holds[i]
		switch {
		case !h.known: // of an attempt that was abandoned; it is being given back
		case !h.leaving:
			h.leaving = true
			return h
		case h.failed && failed == nil:
			failed = h
		}
	}
	if failed != nil {
		failed.failed = false
	}
	return failed
}

// IsLocked reports whether anybody has the lock. It asks the primary, as all of the
// following do; the answer may be outdated when it arrives.
func (l *Lock) IsLocked(ctx context.Context) (bool, error) {
	info, err := l.Inspect(ctx)
	return info.Locked, err
}

// IsHeld reports whether the owner, the calling goroutine or that of ctx, has the
// lock.
func (l *Lock) IsHeld(ctx context.Context) (bool, error) {
	n, err := l.HoldCount(ctx)
	return n > 0, err
}

// HoldCount returns how many holds the owner, the calling goroutine or that of ctx,
// has according to the server; 0 if it does not have the lock.
func (l *Lock) HoldCount(ctx context.Context) (int, error) {
	owner, err := l.check(ctx)
	if err != nil {
		return 0, explain("count holds of", l.names.lock, err)
	}
	info, err := l.Inspect(ctx)
	if err != nil {
		return 0, err
	}
	if info.Owner != l.client.wireName(l, owner) {
		return 0, nil
	}
	return info.Holds, nil
}

// TTL returns for how long the present lease lasts if nobody renews it: 0 if the lock
// is free, negative if it never ends, which only other programs can bring about. A lock
// that another process has handed over lasts 3 s at most at first; its holder asks for
// the rest of the lease after a second.
func (l *Lock) TTL(ctx context.Context) (time.Duration, error) {
	info, err := l.Inspect(ctx)
	return info.TTL, err
}

// Info is the state of a lock on the server.
type Info struct {
	// Locked reports whether anybody has the lock.
	Locked bool
	// Owner is who has it: a client's id, a colon, and the number of a goroutine or
	// thread or of an explicit owner, or one that is nobody's while WithMinHold keeps the
	// lock. It is empty if nobody does, and for a read-write lock, which may have many.
	Owner string
	// Holds is the number of holds that the owner has.
	Holds int
	// TTL is what Lock.TTL returns.
	TTL time.Duration
	// ReadWrite reports that what lies at the name is a read-write lock.
	ReadWrite bool
}

// Inspect returns the state of the lock. It is an error if something lies at its name
// that is no lock.
func (l *Lock) Inspect(ctx context.Context) (Info, error) {
	info, err := l.inspect(ctx)
	if err != nil {
		return Info{}, explain("inspect", l.names.lock, err)
	}
	return info, nil
}

func (l *Lock) inspect(ctx context.Context) (Info, error) {
	state, err := query(ctx, l, func(ctx context.Context) (lua.State, error) {
		return lua.Inspect(ctx, l.client.rdb, l.names.lock)
	})
	if err != nil || state.TTL == lua.Free {
		return Info{}, err
	}
	info := Info{Locked: true, TTL: state.TTL}
	if _, info.ReadWrite = state.Fields["mode"]; info.ReadWrite {
		return info, nil
	}
	for owner, holds := range state.Fields {
		n, err := strconv.Atoi(holds)
		if err != nil || len(state.Fields) > 1 {
			return Info{}, fmt.Errorf("the hash at its name is not that of a lock: %d fields, one is %q with the value %q", len(state.Fields), owner, holds)
		}
		info.Owner, info.Holds = owner, n
	}
	return info, nil
}

// ForceUnlock takes the lock from whoever has it, wakes waiters, and reports whether
// anybody had it. A holder in this client learns of it at once, as does one in
// another process where somebody waits for the lock; others within a third of their
// watchdog timeout. It does not ask who holds the lock: it is for operators.
//
// If the connection broke under the call and it was made again, it may report false
// although it was this call that freed the lock. After an error it is unknown whether
// the lock was taken away.
func (l *Lock) ForceUnlock(ctx context.Context) (bool, error) {
	c := l.client
	got, err := query(ctx, l, func(ctx context.Context) (lua.Released, error) {
		return lua.ForceRelease(ctx, c.rdb, l.names.lock, l.names.channel)
	})
	if r := c.roomOf(l.names.lock); r != nil {
		r.verify()
	}
	if err != nil {
		return false, explain("force unlock", l.names.lock, err)
	}
	if got.Unheard {
		c.warnUnheard(l.names.lock)
	}
	return got.Status == lua.Done, nil
}

// query runs a script that belongs to no owner, as far as the caller's context goes.
func query[T any](ctx context.Context, l *Lock, script func(context.Context) (T, error)) (T, error) {
	var zero T
	c := l.client
	if _, err := l.check(ctx); err != nil {
		return zero, err
	}
	if ctx.Err() != nil {
		return zero, ended(ctx)
	}
	var result T
	ask := func(ctx context.Context) error {
		_, f := c.ask(ctx, func(ctx context.Context) (err error) {
			result, err = script(ctx)
			return err
		})
		if f != nil {
			return f
		}
		return nil
	}
	p := patience{ctx: ctx}
	if p.endless() {
		err := ask(ctx)
		return result, err
	}
	if left, err := c.apart(nil, p, ask); left || err != nil {
		return zero, err
	}
	return result, nil
}

// check returns the owner that an operation is for, or why there can be none.
func (l *Lock) check(ctx context.Context) (Owner, error) {
	if l.invalid != nil {
		return Owner{}, l.invalid
	}
	if l.client.isClosing() {
		return Owner{}, ErrClosed
	}
	return ownerOf(ctx)
}
