package rlock_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

func TestHoldsAreUnlockedAnywhereInAnyOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		for range 20 {
			var holds []*rlock.Hold
			for range 6 {
				holds = append(holds, must(t)(lock.Lock(t.Context())))
			}
			rand.Shuffle(len(holds), func(i, j int) { holds[i], holds[j] = holds[j], holds[i] })
			for i, h := range holds {
				count, err := lock.HoldCount(t.Context())
				require.NoError(t, err)
				require.Equal(t, len(holds)-i, count)
				require.NoError(t, elsewhere(func() error { return h.Unlock(t.Context()) }))
				assert.NoError(t, h.Err())
				<-h.Done()
			}
			require.False(t, w.server.Exists("orders"))
		}
	})
}

func TestUnlockOfTheLockTakesTheInnermostHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		outer := must(t)(lock.Lock(t.Context()))
		middle := must(t)(lock.Lock(t.Context()))
		inner := must(t)(lock.Lock(t.Context()))
		require.NoError(t, middle.Unlock(t.Context()))
		for _, next := range []*rlock.Hold{inner, outer} {
			require.NoError(t, next.Context().Err())
			require.NoError(t, lock.Unlock(t.Context()))
			require.ErrorIs(t, next.Context().Err(), context.Canceled)
		}
		err := lock.Unlock(t.Context())
		require.ErrorIs(t, err, rlock.ErrNotHeld)
		require.NotErrorIs(t, err, rlock.ErrLost)
		assert.EqualError(t, err, `rlock: unlock "orders": lock not held by this owner`)
	})
}

func TestUnlockWithoutAHoldIsAnErrorAndAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		must(t)(w.lock(t, "orders").Lock(t.Context()))
		lock := w.lock(t, "orders")
		w.forget()
		require.ErrorIs(t, lock.Unlock(t.Context()), rlock.ErrNotHeld)
		assert.Empty(t, w.commands())
		assert.True(t, w.server.Exists("orders"))
	})
}

func TestSecondUnlockReturnsNil(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				hold := must(t)(lock.Lock(ctx(t)))
				require.NoError(t, hold.Unlock(ctx(t)))
				must(t)(lock.Lock(ctx(t))) // the next one
				for range 3 {
					require.NoError(t, hold.Unlock(ctx(t)))
					require.NoError(t, hold.Err())
				}
				assert.True(t, w.server.Exists("orders"), "it gave back its own hold only")
			})
		})
	}
}

func TestConcurrentUnlocksOfOneHoldGiveItBackOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		must(t)(lock.Lock(t.Context()))
		hold := must(t)(lock.Lock(t.Context()))
		const goroutines = 10
		results := make(chan error, goroutines)
		for range goroutines {
			go func() { results <- hold.Unlock(t.Context()) }()
		}
		for range goroutines {
			require.NoError(t, await(t, results))
		}
		count, err := lock.HoldCount(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, count)
	})
}

func TestUnlockAfterALossReturnsItEachTime(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				hold := must(t)(lock.Lock(ctx(t), rlock.WithLease(time.Second)))
				time.Sleep(2 * time.Second)
				must(t)(lock.Lock(ctx(t))) // the next one
				for range 3 {
					err := hold.Unlock(ctx(t))
					require.ErrorIs(t, err, rlock.ErrLost)
					require.NotErrorIs(t, err, rlock.ErrNotHeld)
					require.Equal(t, rlock.Expired, reasonOf(err))
					require.Equal(t, "orders", lossOf(t, err).Name)
				}
				assert.True(t, w.server.Exists("orders"))
			})
		})
	}
}

func TestUnlockOfTheLockAfterALossIsNotHeldAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		must(t)(lock.Lock(t.Context(), rlock.WithLease(time.Second)))
		time.Sleep(2 * time.Second)
		err := lock.Unlock(t.Context())
		require.ErrorIs(t, err, rlock.ErrNotHeld)
		require.ErrorIs(t, err, rlock.ErrLost)
		require.Equal(t, rlock.Expired, reasonOf(err))

		err = lock.Unlock(t.Context())
		require.ErrorIs(t, err, rlock.ErrNotHeld)
		require.NotErrorIs(t, err, rlock.ErrLost, "it was told")
		require.NotErrorIs(t, lock.Unlock(stranger(t)), rlock.ErrLost, "it was not theirs")
	})
}

func TestUnlockOfTheLockThatFindsTheLossIsNotHeldAndLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		must(t)(lock.Lock(t.Context()))
		w.server.Del("orders")
		err := lock.Unlock(t.Context())
		require.ErrorIs(t, err, rlock.ErrNotHeld)
		require.ErrorIs(t, err, rlock.ErrLost)
		require.Equal(t, rlock.Removed, reasonOf(err))
	})
}

func TestLossOfAnEarlierHoldIsNotReportedForALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		lost := must(t)(lock.Lock(t.Context(), rlock.WithLease(time.Second)))
		time.Sleep(2 * time.Second)
		require.ErrorIs(t, lost.Unlock(t.Context()), rlock.ErrLost)
		must(t)(lock.Lock(t.Context()))
		require.NoError(t, lock.Unlock(t.Context()))
		require.NotErrorIs(t, lock.Unlock(t.Context()), rlock.ErrLost)
	})
}

type contextKey struct{}

func TestContextOfAHoldInheritsValuesAndNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), contextKey{}, "value"), time.Second)
		defer cancel()
		hold := must(t)(lock.Lock(ctx))
		<-ctx.Done()
		time.Sleep(10 * time.Minute)
		held := hold.Context()
		assert.Equal(t, "value", held.Value(contextKey{}))
		assert.NoError(t, held.Err())
		assert.NoError(t, hold.Err())
		_, limited := held.Deadline()
		assert.False(t, limited)
		assert.Equal(t, held, hold.Context(), "the same each time")
		assert.Equal(t, held.Done(), hold.Done())
	})
}

func TestContextOfAHoldEndsWithItsUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		outer := must(t)(lock.Lock(t.Context()))
		inner := must(t)(lock.Lock(t.Context()))
		derived, cancel := context.WithCancel(inner.Context())
		defer cancel()
		require.NoError(t, inner.Unlock(t.Context()))
		synctest.Wait()
		for _, ctx := range []context.Context{inner.Context(), derived} {
			<-ctx.Done()
			assert.Equal(t, context.Canceled, ctx.Err())
			assert.Equal(t, context.Canceled, context.Cause(ctx))
		}
		assert.NoError(t, outer.Context().Err())
		require.NoError(t, outer.Unlock(t.Context()))
		<-outer.Done() // of which nobody had asked for before
		assert.Equal(t, context.Canceled, context.Cause(outer.Context()))
	})
}

func TestContextOfAHoldEndsWithItsLoss(t *testing.T) {
	for name, early := range map[string]bool{"AskedForBefore": true, "AskedForAfter": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				hold := must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithLease(time.Second)))
				if early {
					hold.Context()
				}
				time.Sleep(2 * time.Second)
				ctx := hold.Context()
				<-ctx.Done()
				assert.Equal(t, context.Canceled, ctx.Err())
				assert.Equal(t, hold.Err(), context.Cause(ctx))
			})
		})
	}
}
