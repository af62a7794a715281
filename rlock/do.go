package rlock

import (
	"context"
	"errors"
	"time"
)

// Do locks, runs work, and unlocks, also when work panics. The context of work ends
// when ctx ends or the lock is lost, and looks at the clocks, as Hold.Context does. Do
// returns the error of Lock, and then work was not run; else the errors of work and of
// Unlock joined, so that errors.Is finds ErrLost if the lock was lost while work ran.
func (l *Lock) Do(ctx context.Context, work func(ctx context.Context) error, options ...LockOption) error {
	h, err := l.Lock(ctx, options...)
	if err != nil {
		return err
	}
	return h.do(ctx, work)
}

// TryDo is Do with TryLock in the place of Lock: it waits for the lock for at most the
// given time, 0 for not at all. If somebody else has the lock until then, it returns an
// error that wraps ErrNotAcquired, and work was not run.
func (l *Lock) TryDo(ctx context.Context, wait time.Duration, work func(ctx context.Context) error, options ...LockOption) error {
	h, err := l.TryLock(ctx, wait, options...)
	if err != nil {
		return err
	}
	return h.do(ctx, work)
}

// do runs work, with a context that ends when ctx or the hold does, and unlocks.
func (h *Hold) do(ctx context.Context, work func(ctx context.Context) error) (err error) { //nolint:contextcheck // see below
	defer func() {
		err = errors.Join(err, h.Unlock(ctx))
	}()
	held := h.Context()
	both, cancel := context.WithCancelCause(ctx) // ends with either
	defer cancel(nil)
	end := func() { cancel(context.Cause(held)) }
	defer context.AfterFunc(held, end)() //nolint:contextcheck // it inherits from ctx
	look := func() {
		if held.Err() != nil {
			end()
		}
	}
	return work(&lookingContext{both, look}) //nolint:contextcheck // it inherits from ctx
}
