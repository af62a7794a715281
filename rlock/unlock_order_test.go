package rlock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// An Unlock waits for a renewal to be answered, and its hold expires meanwhile. The owner's
// next Lock must wait for that Unlock, whose script would take the lock away from it.
func TestOwnersNextHoldWaitsForTheUnlockOfAHoldThatExpiredMeanwhile(t *testing.T) {
	for name, contextFor := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				rdb := w.connect(func(o *rueidis.ClientOption) {
					o.DisableAutoPipelining = true // nothing queues behind something else
				})
				lock := w.clientOver(t, rdb).NewLock("orders")
				ctx := rlock.WithOwner(contextFor(t), rlock.NewOwner())
				first := must(t)(lock.Lock(ctx, rlock.WithLease(13*time.Second)))
				time.Sleep(9 * time.Second)
				w.hush() // the renewal of the tenth second is not answered
				time.Sleep(2 * time.Second)
				unlocked := later(func() error { return first.Unlock(ctx) })
				time.Sleep(2500 * time.Millisecond)
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
				rdb := w.connect(func(o *rueidis.ClientOption) {
					o.DisableAutoPipelining = true // nothing queues behind something else
				})
				lock := w.clientOver(t, rdb).NewLock("orders")
				ctx := rlock.WithOwner(contextFor(t), rlock.NewOwner())
				outer, inner := must(t)(lock.Lock(ctx, rlock.WithLease(13*time.Second))), must(t)(lock.Lock(ctx))
				time.Sleep(9 * time.Second)
				w.hush() // the renewal of the tenth second is not answered
				time.Sleep(2 * time.Second)
				unlocked := later(func() error { return inner.Unlock(ctx) })
				time.Sleep(2500 * time.Millisecond)
				require.Equal(t, rlock.Expired, reasonOf(outer.Err()))
				w.repair()
				require.NoError(t, await(t, unlocked))
				assert.Zero(t, w.ttl("orders"))
				require.NoError(t, must(t)(w.lock(t, "orders").TryLock(stranger(t), 0)).Unlock(ctx))
			})
		})
	}
}
