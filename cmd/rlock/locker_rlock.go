package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// rlockLocker is this project's lock.
type rlockLocker struct {
	client *rlock.Client
	lock   *rlock.Lock
	wait   time.Duration
	lease  time.Duration
}

func newRlockLocker(rdb rueidis.Client, wait, lease time.Duration) (*rlockLocker, error) {
	client, err := rlock.New(rdb, rlock.WithGracePeriod(replyTimeout))
	if err != nil {
		return nil, err
	}
	return &rlockLocker{client: client, lock: client.NewLock(lockName), wait: wait, lease: lease}, nil
}

func (l *rlockLocker) acquire(ctx context.Context) (holding, error) {
	hold, err := l.lock.TryLock(ctx, l.wait, rlock.WithLease(l.lease))
	switch {
	case err == nil:
		return rlockHolding{hold}, nil
	case errors.Is(err, rlock.ErrNotAcquired):
		return nil, errSkipped
	default:
		return nil, err
	}
}

func (l *rlockLocker) close() error { return l.client.Close() }

// rlockHolding is a hold of this project's lock, which knows when it is lost.
type rlockHolding struct{ hold *rlock.Hold }

func (h rlockHolding) gone() <-chan struct{} { return h.hold.Done() }

func (h rlockHolding) err() error {
	if h.hold.Err() != nil {
		return errLost
	}
	return nil
}

func (h rlockHolding) release(ctx context.Context) error {
	err := h.hold.Unlock(ctx)
	if errors.Is(err, rlock.ErrLost) {
		return errLost
	}
	return err
}
