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

// leases are the kinds of holds, all of which outlive a watchdog timeout.
var leases = map[string][]rlock.LockOption{
	"Watched": nil,
	"Fixed":   {rlock.WithLease(time.Hour)},
	"MaxHold": {rlock.WithMaxHold(time.Hour)},
}

// disappearances are what may happen to a lock on the server behind its holder's back.
var disappearances = map[string]func(w *world){
	"Deleted": func(w *world) { w.server.Del("orders") },
	"Flushed": func(w *world) { w.server.FlushAll() },
	"TakenOver": func(w *world) {
		w.server.Del("orders")
		w.server.HSet("orders", "somebody:1", "1")
		w.server.SetTTL("orders", time.Minute)
	},
	"Overwritten": func(w *world) {
		w.server.Del("orders")
		_ = w.server.Set("orders", "text") // it is not there, so that it cannot fail
	},
}

func TestHolderLearnsWithinAThirdOfTheTimeoutThatTheLockIsGone(t *testing.T) {
	for name, disappear := range disappearances {
		for lease, options := range leases {
			t.Run(name+"/"+lease, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock := w.lock(t, "orders")
					start := time.Now()
					hold := must(t)(lock.Lock(t.Context(), options...))
					inner := must(t)(lock.Lock(t.Context(), rlock.WithLease(time.Hour)))
					time.Sleep(10*time.Second + time.Millisecond)
					require.NoError(t, hold.Err())
					disappear(w)
					ttl := w.ttl("orders")

					<-hold.Done()
					went(t, start, 20*time.Second)
					for _, h := range []*rlock.Hold{hold, inner} {
						assert.Equal(t, rlock.Removed, reasonOf(h.Err()))
						assert.Equal(t, rlock.Removed, reasonOf(context.Cause(h.Context())))
						assert.Equal(t, rlock.Removed, reasonOf(h.Unlock(t.Context())))
						assert.NoError(t, lossOf(t, h.Err()).Err)
					}
					if ttl > 0 {
						assert.Equal(t, ttl-10*time.Second+time.Millisecond, w.ttl("orders"), "whose it is now is left alone")
					}
				})
			})
		}
	}
}

func TestLostLockIsLockedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		lost := must(t)(lock.Lock(t.Context()))
		w.server.Del("orders")
		hold := must(t)(lock.Lock(t.Context())) // finds out
		require.Equal(t, rlock.Removed, reasonOf(lost.Err()))
		count, err := lock.HoldCount(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, count)
		require.ErrorIs(t, lost.Unlock(t.Context()), rlock.ErrLost)
		require.NoError(t, hold.Err())
		require.NoError(t, hold.Unlock(t.Context()))
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestCountThatNobodyHereLeftIsALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		outer := must(t)(lock.Lock(t.Context()))
		for field := range hash(t, w, "orders") {
			w.server.HSet("orders", field, "5")
		}
		inner := must(t)(lock.Lock(t.Context()))
		assert.Equal(t, rlock.Removed, reasonOf(outer.Err()))
		count, err := lock.HoldCount(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, count)
		require.NoError(t, inner.Unlock(t.Context()))
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestReentryAfterATakeoverWaitsItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock, other := w.lock(t, "orders"), w.lock(t, "orders")
		outer := must(t)(lock.Lock(t.Context()))
		w.server.Del("orders")
		theirs := must(t)(other.Lock(t.Context()))

		_, err := lock.TryLock(t.Context(), 0)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		require.Equal(t, rlock.Removed, reasonOf(outer.Err()))
		got := later(func() attempt { return attempted(lock.Lock(rlock.WithOwner(t.Context(), outer.Owner()))) })
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Empty(t, got)
		require.NoError(t, theirs.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
	})
}

func TestUnlockOfALockThatIsGoneIsALoss(t *testing.T) {
	for name, disappear := range disappearances {
		if name == "Overwritten" {
			continue // an error of the server, below
		}
		for lease, options := range leases {
			t.Run(name+"/"+lease, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock := w.lock(t, "orders")
					outer := must(t)(lock.Lock(t.Context()))
					inner := must(t)(lock.Lock(t.Context(), options...))
					disappear(w)
					ttl := w.ttl("orders")
					assert.Equal(t, rlock.Removed, reasonOf(inner.Unlock(t.Context())))
					assert.Equal(t, rlock.Removed, reasonOf(outer.Unlock(t.Context())))
					assert.Equal(t, ttl, w.ttl("orders"), "whose it is now is left alone")
				})
			})
		}
	}
}

func TestReconnectVerifiesAllHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		kept := must(t)(client.NewLock("parcels").Lock(t.Context()))
		lost := must(t)(client.NewLock("orders").Lock(t.Context(), rlock.WithLease(time.Hour)))
		time.Sleep(time.Second)
		w.server.Del("orders")
		start := time.Now()
		w.cut()
		<-lost.Done()
		assert.Less(t, time.Since(start), time.Second)
		assert.Equal(t, rlock.Removed, reasonOf(lost.Err()))
		assert.NoError(t, kept.Err())
	})
}

func TestForcedReleaseIsToldAtOnce(t *testing.T) {
	forced := map[string]func(t *testing.T, w *world, holder *rlock.Lock){
		"ByTheHoldersClient": func(t *testing.T, _ *world, holder *rlock.Lock) {
			t.Helper()
			had, err := holder.ForceUnlock(t.Context())
			require.NoError(t, err)
			assert.True(t, had)
		},
		"BySomebodyElseWhileSomebodyWaits": func(t *testing.T, w *world, holder *rlock.Lock) {
			t.Helper()
			ctx, cancel := context.WithCancel(stranger(t))
			got := later(func() attempt { return attempted(holder.Lock(ctx)) })
			synctest.Wait()
			had, err := w.lock(t, "orders").ForceUnlock(t.Context())
			require.NoError(t, err)
			assert.True(t, had)
			must(t)(fields(await(t, got)))
			cancel()
		},
	}
	for name, force := range forced {
		for lease, options := range leases {
			t.Run(name+"/"+lease, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock := w.lock(t, "orders")
					hold := must(t)(lock.Lock(t.Context(), options...))
					time.Sleep(time.Second)
					start := time.Now()
					force(t, w, lock)
					<-hold.Done()
					went(t, start, 0)
					assert.Equal(t, rlock.Removed, reasonOf(hold.Err()))
				})
			})
		}
	}
}

func TestReleasesOfItsOwnAreNoReasonToVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		holder := must(t)(lock.Lock(stranger(t)))
		got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
		time.Sleep(time.Second)
		w.forget()
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
		assert.LessOrEqual(t, len(w.commands("EVALSHA", "EVAL")), 4, "a release and an acquisition, and their scripts sent for the first time")
	})
}

// Unlock fails, and what gives back the owner's next attempt, which stayed unanswered, gives
// back that hold too.
func TestHoldThatIsGivenBackWithAnUnansweredAttemptIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context()))
		w.refuse("ERR no")
		require.Error(t, hold.Unlock(t.Context()))
		w.repair()
		w.hush()
		got := later(func() attempt { return attempted(lock.Lock(rlock.WithOwner(t.Context(), hold.Owner()))) })
		synctest.Wait()
		w.disconnect()
		requireFault(t, await(t, got).err)
		w.repair()
		time.Sleep(5 * time.Second)
		require.False(t, w.server.Exists("orders"))
		require.NoError(t, hold.Err())
		require.NoError(t, hold.Unlock(t.Context()))
		require.ErrorIs(t, lock.Unlock(t.Context()), rlock.ErrNotHeld)
	})
}

// What the lock's next owner has already, it was not given by this Unlock.
func TestUnlockOfALockThatTheNextInLineGotElsewhereIsALoss(t *testing.T) {
	for name, passing := range map[string]struct {
		turns  rlock.Option
		passed bool
	}{
		"HandedOver": {rlock.WithTurns(8, 64), false},
		"PassedOn":   {rlock.WithTurns(8, 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders", on, passing.turns)
				holder, next := stranger(t), stranger(t)
				queued := func(owner context.Context) <-chan attempt {
					got := later(func() attempt { return attempted(lock.Lock(owner)) })
					synctest.Wait()
					return got
				}
				hold := must(t)(lock.Lock(next))
				info, err := lock.Inspect(next)
				require.NoError(t, err)
				got := queued(holder)
				require.NoError(t, hold.Unlock(next)) // a first turn
				lost := must(t)(fields(await(t, got)))
				got = queued(next)
				w.server.Del("orders")
				w.server.HSet("orders", info.Owner, "1")
				w.server.SetTTL("orders", 3*time.Second)
				w.forget()
				assert.Equal(t, rlock.Removed, reasonOf(lost.Unlock(holder)))
				assert.Equal(t, passing.passed, len(w.commands("HEXISTS")) > 0, "by that script")
				hold = must(t)(fields(await(t, got)))
				n, err := lock.HoldCount(next)
				require.NoError(t, err)
				assert.Equal(t, 1, n)
				require.NoError(t, hold.Unlock(next))
				assert.False(t, w.server.Exists("orders"))
			})
		})
	}
}

// Unlock cannot be sent, the lock goes away meanwhile, and the owner takes it anew before
// the release is tried again.
func TestHoldThatWasRemovedBeforeItsOwnerLockedAnewIsNotGivenBack(t *testing.T) {
	for name, disappear := range disappearances {
		if name == "TakenOver" || name == "Overwritten" {
			continue // nobody can lock
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				ctx := stranger(t)
				lost := must(t)(lock.Lock(ctx))
				w.refuse("ERR no")
				require.Error(t, lost.Unlock(ctx))
				w.repair()
				disappear(w)
				other := must(t)(w.lock(t, "orders").TryLock(stranger(t), 0))
				require.NoError(t, other.Unlock(ctx))
				hold := must(t)(lock.Lock(ctx))
				assert.Equal(t, rlock.Removed, reasonOf(lost.Unlock(ctx)))
				require.NoError(t, hold.Err())
				require.NoError(t, hold.Unlock(ctx))
			})
		})
	}
}

// The server's lease ends a little later than the trust in it. An owner that knows of its
// loss has its name on the lock until then, and need not wait for itself.
func TestOwnerThatWasToldOfItsLossTakesTheLockAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx := stranger(t)
		hold := must(t)(lock.Lock(ctx, rlock.WithLease(10*time.Minute)))
		waited := later(func() error { // so that the next Lock begins as a waiter
			_, err := lock.TryLock(stranger(t), 10*time.Minute-2*time.Second)
			return err
		})
		<-hold.Done()
		require.Equal(t, rlock.Expired, reasonOf(hold.Unlock(ctx)))
		require.NotZero(t, w.ttl("orders"))
		require.ErrorIs(t, await(t, waited), rlock.ErrNotAcquired)
		start := time.Now()
		require.NotZero(t, w.ttl("orders"))
		must(t)(lock.Lock(ctx))
		went(t, start, 0)
	})
}
