package rlock_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/petermattis/goid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// elsewhere runs f in another goroutine and waits for it.
func elsewhere[T any](f func() T) T { return <-later(f) }

func TestGoroutineReentersAndAnotherOneWaits(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				var holds []*rlock.Hold
				for range 3 {
					holds = append(holds, must(t)(lock.Lock(ctx(t))), must(t)(lock.TryLock(ctx(t), 0)))
				}
				err := elsewhere(func() error { _, err := lock.TryLock(ctx(t), 0); return err })
				require.ErrorIs(t, err, rlock.ErrNotAcquired)
				got := later(func() attempt {
					hold, err := lock.Lock(ctx(t))
					if err == nil {
						err = hold.Unlock(ctx(t))
					}
					return attempted(hold, err)
				})
				time.Sleep(time.Minute)
				require.Empty(t, got)
				for i, hold := range holds {
					count, err := lock.HoldCount(ctx(t))
					require.NoError(t, err)
					require.Equal(t, len(holds)-i, count)
					require.Empty(t, got, "not before the last")
					require.NoError(t, hold.Unlock(ctx(t)))
					synctest.Wait()
				}
				must(t)(fields(await(t, got)))
			})
		})
	}
}

func TestOwnersOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		goroutine := must(t)(client.NewLock("orders").Lock(t.Context()))
		assert.Equal(t, map[string]string{client.ID() + ":" + fmt.Sprint(goid.Get()): "1"}, hash(t, w, "orders"))
		assert.Equal(t, fmt.Sprint(goid.Get()), goroutine.Owner().String())

		owner := rlock.NewOwner()
		ctx := rlock.WithOwner(t.Context(), owner)
		explicit := must(t)(client.NewLock("parcels").Lock(ctx))
		must(t)(client.NewLock("parcels").Lock(ctx))
		assert.Equal(t, map[string]string{client.ID() + ":" + owner.String(): "2"}, hash(t, w, "parcels"))
		assert.Equal(t, owner, explicit.Owner())
		assert.True(t, strings.HasPrefix(owner.String(), "-"), "never a goroutine's id: %s", owner)
		assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, client.ID())
	})
}

func TestExplicitOwnersInOneGoroutineExcludeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		alice, bob := stranger(t), stranger(t)
		hold := must(t)(lock.Lock(alice))
		for name, ctx := range map[string]context.Context{"Bob": bob, "Goroutine": t.Context()} {
			_, err := lock.TryLock(ctx, time.Second)
			require.ErrorIs(t, err, rlock.ErrNotAcquired, name)
			require.ErrorIs(t, lock.Unlock(ctx), rlock.ErrNotHeld, name)
		}
		must(t)(lock.TryLock(alice, 0))
		require.NoError(t, lock.Unlock(alice))
		require.NoError(t, hold.Unlock(bob), "a Hold knows its owner")
		must(t)(lock.TryLock(bob, 0))
	})
}

func TestOneOwnerInTwoGoroutinesHoldsTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx := stranger(t)
		first := must(t)(lock.Lock(ctx))
		second := must(t)(fields(elsewhere(func() attempt { return attempted(lock.TryLock(ctx, 0)) })))
		count, err := lock.HoldCount(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, count)
		require.NoError(t, first.Unlock(ctx))
		require.NoError(t, second.Err())
		_, err = lock.TryLock(stranger(t), 0)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		require.NoError(t, elsewhere(func() error { return lock.Unlock(ctx) }))
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestWaiterReentersAtOnceWhenItsOwnerGetsTheLockElsewhere(t *testing.T) {
	for _, others := range []int{0, 3} { // who came before it
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				holder := lockTaken(t, w)
				lock := w.lock(t, "orders")
				ctx := stranger(t)
				first := later(func() attempt { return attempted(lock.Lock(ctx)) })
				synctest.Wait()
				done, cancel := context.WithCancel(t.Context())
				defer cancel()
				for range others {
					go func() { _, _ = lock.Lock(rlock.WithOwner(done, rlock.NewOwner())) }() // ends with done
					synctest.Wait()
				}
				second := later(func() attempt { return attempted(lock.Lock(ctx)) })
				time.Sleep(time.Second)
				start := time.Now()
				require.NoError(t, holder.Unlock(t.Context()))
				must(t)(fields(await(t, first)))
				must(t)(fields(await(t, second)))
				went(t, start, 0)
				count, err := lock.HoldCount(ctx)
				require.NoError(t, err)
				assert.Equal(t, 2, count)
			})
		})
	}
}

func TestManyGoroutinesOfOneOwnerCountRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx := stranger(t)
		const goroutines = 50
		results := make(chan attempt, goroutines)
		for range goroutines {
			go func() { results <- attempted(lock.Lock(ctx)) }()
		}
		var holds []*rlock.Hold
		for range goroutines {
			holds = append(holds, must(t)(fields(await(t, results))))
		}
		count, err := lock.HoldCount(ctx)
		require.NoError(t, err)
		require.Equal(t, goroutines, count)
		released := make(chan error, goroutines)
		for _, h := range holds {
			go func() { released <- h.Unlock(ctx) }()
		}
		for range goroutines {
			require.NoError(t, await(t, released))
		}
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestHoldsOwnerReentersElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context()))
		inner := elsewhere(func() attempt {
			ctx := rlock.WithOwner(t.Context(), hold.Owner())
			return attempted(lock.TryLock(ctx, 0))
		})
		must(t)(fields(inner))
		assert.Equal(t, hold.Owner(), inner.hold.Owner())
		require.NoError(t, inner.hold.Unlock(t.Context()))
		require.NoError(t, hold.Err())
	})
}

func TestHoldsContextNamesNoOwnerThatItsLockDidNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context()))
		err := elsewhere(func() error { _, err := lock.TryLock(hold.Context(), 0); return err })
		require.ErrorIs(t, err, rlock.ErrNotAcquired, "another goroutine is another owner")

		explicit := must(t)(w.lock(t, "parcels").Lock(stranger(t)))
		assert.Equal(t, explicit.Owner(), ownerIn(explicit.Context(), t, w.lock(t, "probe")))
	})
}

// ownerIn returns the owner that a context names.
func ownerIn(ctx context.Context, t *testing.T, lock *rlock.Lock) rlock.Owner {
	t.Helper()
	return must(t)(lock.Lock(ctx)).Owner()
}

func TestInnermostOwnerOfNestedContextsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		outer, inner := rlock.NewOwner(), rlock.NewOwner()
		require.NotEqual(t, outer, inner)
		ctx := rlock.WithOwner(rlock.WithOwner(t.Context(), outer), inner)
		assert.Equal(t, inner, ownerIn(ctx, t, w.lock(t, "probe")))
	})
}

func TestSameOwnerAtTwoClientsIsTwoOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rdb := w.connect()
		first, second := w.clientOver(t, rdb), w.clientOver(t, rdb)
		require.NotEqual(t, first.ID(), second.ID())
		ctx := stranger(t)
		must(t)(first.NewLock("orders").Lock(ctx))
		_, err := second.NewLock("orders").TryLock(ctx, 0)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
	})
}

// A server has few goroutines that serve many requests in turn. What a request's
// handler locks and leaves to a background goroutine belongs to the goroutine of the
// handler, and so does what the next request's handler locks.
func TestGoroutineThatServesTheNextRequestGetsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		background := func(hold *rlock.Hold) <-chan error {
			return later(func() error { time.Sleep(time.Minute); return hold.Unlock(t.Context()) })
		}
		working := background(must(t)(lock.Lock(t.Context())))
		next := must(t)(lock.TryLock(t.Context(), 0)) // in spite of the background work
		require.NoError(t, next.Unlock(t.Context()))
		require.NoError(t, await(t, working))
	})
}

func TestRequestWithAnOwnerOfItsOwnStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		working := later(func() error { return nil })
		for request := range 3 {
			ctx := rlock.WithOwner(t.Context(), rlock.NewOwner())
			hold, err := lock.TryLock(ctx, 0)
			if request > 0 {
				require.ErrorIs(t, err, rlock.ErrNotAcquired)
				continue
			}
			must(t)(hold, err)
			working = later(func() error { time.Sleep(time.Minute); return hold.Unlock(ctx) })
		}
		require.NoError(t, await(t, working))
		must(t)(lock.TryLock(stranger(t), 0))
	})
}

// hash returns what lies at a lock's name.
func hash(t *testing.T, w *world, name string) map[string]string {
	t.Helper()
	keys, err := w.server.HKeys(name)
	require.NoError(t, err)
	fields := make(map[string]string, len(keys))
	for _, key := range keys {
		fields[key] = w.server.HGet(name, key)
	}
	return fields
}
