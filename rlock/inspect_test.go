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

// A view is what somebody sees of a lock.
type view struct {
	locked, held bool
	count        int
	info         rlock.Info
}

func look(ctx context.Context, t *testing.T, lock *rlock.Lock) view {
	t.Helper()
	var (
		v   view
		err error
	)
	v.locked, err = lock.IsLocked(ctx)
	require.NoError(t, err)
	v.held, err = lock.IsHeld(ctx)
	require.NoError(t, err)
	v.count, err = lock.HoldCount(ctx)
	require.NoError(t, err)
	v.info, err = lock.Inspect(ctx)
	require.NoError(t, err)
	ttl, err := lock.TTL(ctx)
	require.NoError(t, err)
	require.Equal(t, v.info.TTL, ttl)
	return v
}

func TestFreeLockLooksFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		require.Zero(t, look(t.Context(), t, lock))
		must(t)(lock.Lock(t.Context()))
		require.NoError(t, lock.Unlock(t.Context()))
		require.Zero(t, look(t.Context(), t, lock), "again")
	})
}

func TestHeldLockLooksHeldToItsOwnerAndLockedToOthers(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				client := w.client(t)
				lock := client.NewLock("orders")
				for i := range 3 {
					hold := must(t)(lock.Lock(ctx(t)))
					time.Sleep(time.Second)
					info := rlock.Info{
						Locked: true, Holds: i + 1, TTL: 29 * time.Second,
						Owner: client.ID() + ":" + hold.Owner().String(),
					}
					assert.Equal(t, view{true, true, i + 1, info}, look(ctx(t), t, lock))
					theirs := view{true, false, 0, info}
					assert.Equal(t, theirs, look(stranger(t), t, lock), "another owner")
					assert.Equal(t, theirs, elsewhere(func() view { return look(ctx(t), t, lock) }), "another goroutine")
					assert.Equal(t, theirs, look(ctx(t), t, w.lock(t, "orders")), "another client")
				}
			})
		})
	}
}

func TestIntrospectionShowsTheServersView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context()))
		w.server.Del("orders")
		require.Zero(t, look(t.Context(), t, lock))
		require.NoError(t, hold.Err(), "looking changes nothing")

		w.server.HSet("orders", somebody, "3")
		w.server.SetTTL("orders", time.Minute)
		info := rlock.Info{Locked: true, Owner: somebody, Holds: 3, TTL: time.Minute}
		assert.Equal(t, view{locked: true, info: info}, look(t.Context(), t, lock))
	})
}

func TestIntrospectionAsksThePrimaryByAScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		look(t.Context(), t, lock)
		w.forget()
		look(t.Context(), t, lock)
		assert.Len(t, w.commands("EVALSHA"), 5)
		assert.Equal(t, len(w.commands("EVALSHA", "PTTL")), len(w.commands("EVALSHA", "PTTL", "EXISTS", "HGET", "HGETALL", "TTL")), "one read in each")
	})
}

func TestForceUnlockTakesTheLockFromAnybodyAndWakesWaiters(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				client, other := w.client(t), w.lock(t, "orders")
				lock := client.NewLock("orders")
				outer := must(t)(lock.Lock(stranger(t)))
				inner := must(t)(lock.Lock(rlock.WithOwner(t.Context(), outer.Owner()), rlock.WithLease(time.Hour)))
				got := later(func() attempt { return attempted(other.Lock(t.Context())) })
				time.Sleep(time.Second)
				start := time.Now()
				had, err := lock.ForceUnlock(ctx(t))
				require.NoError(t, err)
				assert.True(t, had)
				must(t)(fields(await(t, got)))
				synctest.Wait()
				went(t, start, 0)
				for _, h := range []*rlock.Hold{outer, inner} {
					assert.Equal(t, rlock.Removed, reasonOf(h.Err()))
					assert.ErrorIs(t, context.Cause(h.Context()), rlock.ErrLost)
				}
			})
		})
	}
}

func TestForceUnlockOfAFreeLockDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		had, err := lock.ForceUnlock(t.Context())
		require.NoError(t, err)
		assert.False(t, had)
		assert.Empty(t, w.commands("PUBLISH"))
	})
}

func TestForceUnlockOpensAReadWriteLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.server.HSet("orders", "mode", "read", somebody, "1")
		had, err := w.lock(t, "orders").ForceUnlock(t.Context())
		require.NoError(t, err)
		assert.True(t, had)
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestReleasesArePublished(t *testing.T) {
	releases := map[string]func(t *testing.T, w *world, lock *rlock.Lock){
		"Unlock": func(t *testing.T, _ *world, lock *rlock.Lock) {
			t.Helper()
			require.NoError(t, lock.Unlock(t.Context()))
		},
		"ForceUnlock": func(t *testing.T, w *world, _ *rlock.Lock) {
			t.Helper()
			_, err := w.lock(t, "orders").ForceUnlock(t.Context())
			require.NoError(t, err)
		},
	}
	for name, release := range releases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				must(t)(lock.Lock(t.Context()))
				must(t)(lock.Lock(t.Context()))
				require.NoError(t, lock.Unlock(t.Context()))
				require.Empty(t, w.commands("PUBLISH"), "somebody has it still")
				release(t, w, lock)
				var published [][]string
				for _, c := range w.commands("PUBLISH") {
					published = append(published, c.args)
				}
				assert.Equal(t, [][]string{{"redisson_lock__channel:{orders}", "0"}}, published)
			})
		})
	}
}
