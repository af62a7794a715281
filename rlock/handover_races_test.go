package rlock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// A waiter may be handed the lock while it is about to try, or tries for the last time.
func TestHandedOverLockIsHeldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var wg sync.WaitGroup
		for range 2 {
			lock := w.lock(t, "orders", on)
			for i := range 8 {
				wg.Go(func() {
					ctx := stranger(t)
					for range 150 {
						hold, err := lock.TryLock(ctx, time.Duration(rand.N(6))*time.Millisecond)
						if err != nil {
							assert.ErrorIs(t, err, rlock.ErrNotAcquired)
							continue
						}
						n, err := lock.HoldCount(ctx)
						assert.NoError(t, err)
						assert.Equal(t, 1, n)
						time.Sleep(time.Duration(i%3) * time.Millisecond)
						assert.NoError(t, hold.Unlock(ctx))
						assert.ErrorIs(t, lock.Unlock(ctx), rlock.ErrNotHeld)
					}
				})
			}
		}
		wg.Wait()
		time.Sleep(10 * time.Millisecond) // those that gave up pass on what they were granted
		synctest.Wait()
		assert.False(t, w.server.Exists("orders"))
	})
}

// The lock is released at a random moment while a waiter is cancelled, whose attempt may
// have succeeded: that is undone, and nobody can give it back besides.
func TestOwnerWhoseLockWasCancelledHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		theirs, lock := w.lock(t, "orders"), w.lock(t, "orders")
		cancelled := 0
		for range 300 {
			holder := must(t)(theirs.Lock(t.Context()))
			owner := stranger(t)
			ctx, cancel := context.WithCancel(owner)
			got := later(func() attempt { return attempted(lock.Lock(ctx)) })
			synctest.Wait()
			released := later(func() error { return holder.Unlock(t.Context()) })
			for range rand.N(60) {
				runtime.Gosched()
			}
			cancel()
			result := <-got
			if result.err == nil {
				require.NoError(t, result.hold.Unlock(owner))
			} else {
				require.ErrorIs(t, result.err, context.Canceled)
				cancelled++
			}
			err := lock.Unlock(owner)
			require.True(t, errors.Is(err, rlock.ErrNotHeld), "%v", err)
			require.NoError(t, <-released)
			synctest.Wait()
			require.False(t, w.server.Exists("orders"))
		}
		assert.Positive(t, cancelled)
		assert.Less(t, cancelled, 300)
	})
}
