package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// lockName is the name of the lock that everybody wants.
const lockName = "myLock"

// lockKinds are what --lock takes.
var lockKinds = []string{"rlock", "spin", "none"}

var (
	// errSkipped is returned by acquire when the wait time is over: contention, not
	// a fault.
	errSkipped = errors.New("somebody else has the lock")

	// errLost is returned by release when the lock was no longer held.
	errLost = errors.New("the lease was over")
)

// A locker is one way to lock. A worker uses one from one goroutine.
type locker interface {
	// acquire waits for the lock and returns errSkipped if that takes too long. When
	// ctx is done it stops waiting, has nothing, and returns ctx's error.
	acquire(ctx context.Context) (holding, error)

	// close gives back what the locker needed.
	close() error
}

// A holding is a lock that is held.
type holding interface {
	// gone is closed when the lock is no longer held. It is nil if nobody tells.
	gone() <-chan struct{}

	// err is errLost when the lock is known to be no longer held, else nil.
	err() error

	// release gives the lock back, or returns errLost if it was not held any more.
	release(ctx context.Context) error
}

// newLocker returns the locker of a kind.
func newLocker(kind string, rdb rueidis.Client, wait, lease time.Duration) (locker, error) {
	switch kind {
	case "rlock":
		return newRlockLocker(rdb, wait, lease)
	case "spin":
		return newSpinLocker(rdb, wait, lease), nil
	case "none":
		return noLocker{}, nil
	}
	return nil, fmt.Errorf("there is no lock of the kind %q", kind)
}
