package rlock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// unlockDuringRenewal gives a hold back 11 s from now, while the renewal of the tenth second
// is not answered, and returns another 2.5 s later, while Unlock still waits for that.
func (w *world) unlockDuringRenewal(ctx context.Context, hold *rlock.Hold) <-chan error {
	time.Sleep(9 * time.Second)
	w.hush()
	time.Sleep(2 * time.Second)
	unlocked := later(func() error { return hold.Unlock(ctx) })
	time.Sleep(2500 * time.Millisecond)
	return unlocked
}

// An Unlock waits for a renewal to be answered, and its hold expires meanwhile. The owner's
// next Lock must wait for that Unlock, whose script would take the lock away from it.
func TestOwnersNextHoldWaitsForTheUnlockOfAHoldThatExpiredMeanwhile(t *testing.T) {
	for name, contextFor := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.clientOver(t, w.connect(unpipelined)).NewLock("orders")
				ctx := rlock.WithOwner(contextFor(t), rlock.NewOwner())
				first := must(t)(lock.Lock(ctx, rlock.WithLease(13*time.Second)))
				unlocked := w.unlockDuringRenewal(ctx, first)
				require.Equal(t, rlock.Expired, reasonOf(first.Err()))
				answer := w.relent(t)
				locked := later(func() attempt { return attempted(lock.Lock(ctx)) })
				synctest.Wait()
				answer()
				assert.Equal(t, rlock.Expired, reasonOf(await(t, unlocked)))
				second := must(t)(fields(await(t, locked)))
				n, err := lock.HoldCount(ctx)
				require.NoError(t, err)
				assert.Equal(t, 1, n)
				require.NoError(t, second.Unlock(ctx))
			})
		})
	}
}

// An Unlock waits for a renewal to be answered, and the owner's only other hold expires
// meanwhile: nothing remains for which the lock would have to stay taken.
func TestUnlockFreesALockWhoseOtherHoldExpiredMeanwhile(t *testing.T) {
	for name, contextFor := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.clientOver(t, w.connect(unpipelined)).NewLock("orders")
				ctx := rlock.WithOwner(contextFor(t), rlock.NewOwner())
				outer, inner := must(t)(lock.Lock(ctx, rlock.WithLease(13*time.Second))), must(t)(lock.Lock(ctx))
				unlocked := w.unlockDuringRenewal(ctx, inner)
				require.Equal(t, rlock.Expired, reasonOf(outer.Err()))
				w.repair()
				require.NoError(t, await(t, unlocked))
				assert.Zero(t, w.ttl("orders"))
				require.NoError(t, must(t)(w.lock(t, "orders").TryLock(stranger(t), 0)).Unlock(ctx))
			})
		})
	}
}

// The first is under way when the second comes, which means another hold.
func TestSecondUnlockOfAnOwnerWithOneHoldFindsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.clientOver(t, w.connect(w.dialler, oneConnection)).NewLock("orders")
		ctx := stranger(t)
		must(t)(lock.Lock(ctx))
		begun := w.begins("EVALSHA")
		w.hush()
		first := later(func() error { return lock.Unlock(ctx) })
		<-begun
		require.ErrorIs(t, lock.Unlock(ctx), rlock.ErrNotHeld)
		w.repair()
		require.NoError(t, await(t, first))
	})
}
