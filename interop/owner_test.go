package interop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// An owner locks and unlocks, on one side or the other. The errors of both sides are
// those of package rlock where it has a counterpart.
type owner interface {
	lock(name string) error
	lockWithLease(name string, lease time.Duration) error
	tryLock(name string) (bool, error)
	tryLockWithin(name string, wait time.Duration) (bool, error)
	tryLockWithLease(name string, wait, lease time.Duration) (bool, error)
	unlock(name string) error
	forceUnlock(name string) (bool, error)
	isLocked(name string) (bool, error)
	isHeld(name string) (bool, error)
	holdCount(name string) (int, error)
	ttl(name string) (time.Duration, error) // 0 if the lock is free
	field(name string) string               // of the hash, when it has the lock
}

// A goOwner is an owner of this library.
type goOwner struct {
	ctx    context.Context //nolint:containedctx // it names the owner
	client *rlock.Client
	owner  rlock.Owner
}

// newGoOwnerOn returns an owner with a client of its own, which is closed when the test
// is over.
func newGoOwnerOn(t *testing.T, s *redistest.Server, options ...rlock.Option) goOwner {
	t.Helper()
	client, err := rlock.New(s.Client(t), options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return anotherGoOwner(t, client)
}

// anotherGoOwner returns one more owner with the same client.
func anotherGoOwner(t *testing.T, client *rlock.Client) goOwner {
	t.Helper()
	o := rlock.NewOwner()
	return goOwner{ctx: rlock.WithOwner(t.Context(), o), client: client, owner: o}
}

func (o goOwner) at(name string) *rlock.Lock { return o.client.NewLock(name) }

func (o goOwner) lock(name string) error {
	_, err := o.at(name).Lock(o.ctx)
	return err
}

func (o goOwner) lockWithLease(name string, lease time.Duration) error {
	_, err := o.at(name).Lock(o.ctx, rlock.WithLease(lease))
	return err
}

func (o goOwner) tryLock(name string) (bool, error) {
	return acquired(o.at(name).TryLock(o.ctx, 0))
}

func (o goOwner) tryLockWithin(name string, wait time.Duration) (bool, error) {
	return acquired(o.at(name).TryLock(o.ctx, wait))
}

func (o goOwner) tryLockWithLease(name string, wait, lease time.Duration) (bool, error) {
	return acquired(o.at(name).TryLock(o.ctx, wait, rlock.WithLease(lease)))
}

func (o goOwner) unlock(name string) error               { return o.at(name).Unlock(o.ctx) }
func (o goOwner) forceUnlock(name string) (bool, error)  { return o.at(name).ForceUnlock(o.ctx) }
func (o goOwner) isLocked(name string) (bool, error)     { return o.at(name).IsLocked(o.ctx) }
func (o goOwner) isHeld(name string) (bool, error)       { return o.at(name).IsHeld(o.ctx) }
func (o goOwner) holdCount(name string) (int, error)     { return o.at(name).HoldCount(o.ctx) }
func (o goOwner) ttl(name string) (time.Duration, error) { return o.at(name).TTL(o.ctx) }
func (o goOwner) field(string) string                    { return o.client.ID() + ":" + o.owner.String() }

// acquired makes of TryLock's results what Java's tryLock returns.
func acquired(_ *rlock.Hold, err error) (bool, error) {
	if errors.Is(err, rlock.ErrNotAcquired) {
		return false, nil
	}
	return err == nil, err
}
