package rlock_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/rlock"
)

// endings are the ways in which a hold with a minimum of a second may end by itself.
var endings = map[string][]rlock.LockOption{
	"Watched": nil,
	"Lease":   {rlock.WithLease(time.Second)},
	"MaxHold": {rlock.WithMaxHold(time.Second)},
	"Longer":  {rlock.WithLease(time.Minute)},
}

func TestUnlockBeforeTheMinimumEndsTheHoldAndLeavesTheLockTaken(t *testing.T) {
	for name, options := range endings {
		for kind, ctx := range contexts {
			t.Run(name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock, other := w.lock(t, "orders"), w.lock(t, "orders")
					start := time.Now()
					hold := must(t)(lock.Lock(ctx(t), append(options, rlock.WithMinHold(time.Second))...))
					time.Sleep(100 * time.Millisecond)
					require.NoError(t, hold.Unlock(ctx(t)))
					went(t, start, 100*time.Millisecond)

					<-hold.Done()
					require.NoError(t, hold.Err())
					assert.Equal(t, context.Canceled, context.Cause(hold.Context()))
					require.NoError(t, hold.Unlock(ctx(t)), "a second Unlock after a success")
					require.ErrorIs(t, lock.Unlock(ctx(t)), rlock.ErrNotHeld)
					held, err := lock.IsHeld(ctx(t))
					require.NoError(t, err)
					assert.False(t, held)

					assert.Equal(t, 900*time.Millisecond, w.ttl("orders"))
					for range 3 {
						_, err = lock.TryLock(ctx(t), 0)
						require.ErrorIs(t, err, rlock.ErrNotAcquired, "the same owner")
						_, err = lock.TryLock(stranger(t), 0)
						require.ErrorIs(t, err, rlock.ErrNotAcquired)
						_, err = other.TryLock(ctx(t), 0)
						require.ErrorIs(t, err, rlock.ErrNotAcquired)
					}
					time.Sleep(time.Until(start.Add(time.Second)) - time.Millisecond)
					_, err = lock.TryLock(ctx(t), 0)
					require.ErrorIs(t, err, rlock.ErrNotAcquired)
					time.Sleep(time.Millisecond)
					require.NoError(t, must(t)(lock.TryLock(ctx(t), 0)).Unlock(ctx(t)))
					assert.False(t, w.server.Exists("orders"), "the next hold has no minimum")
				})
			})
		}
	}
}

func TestUnlockAfterTheMinimumFreesTheLock(t *testing.T) {
	for _, held := range []time.Duration{time.Second - time.Microsecond, time.Second, time.Hour} {
		t.Run(held.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				hold := must(t)(lock.Lock(t.Context(), rlock.WithMinHold(time.Second)))
				time.Sleep(held)
				require.NoError(t, hold.Unlock(t.Context()))
				assert.False(t, w.server.Exists("orders"))
			})
		})
	}
}

// Whoever waits believes in the lease of the watchdog until it is told better.
func TestWaitersGetTheLockWhenTheMinimumIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client, others := w.client(t), []*rlock.Client{w.client(t), w.client(t)}
		lock := client.NewLock("orders")
		start := time.Now()
		hold := must(t)(lock.Lock(stranger(t), rlock.WithMinHold(time.Second)))
		got := make(chan attempt)
		waiters := 0
		wait := func(c *rlock.Client, ctx context.Context) {
			waiters++
			go func() { got <- attempted(c.NewLock("orders").Lock(ctx)) }()
			time.Sleep(time.Millisecond)
		}
		for range 2 {
			for _, c := range others {
				wait(c, stranger(t))
			}
			wait(client, stranger(t))
		}
		time.Sleep(time.Until(start.Add(100 * time.Millisecond)))
		require.NoError(t, hold.Unlock(t.Context()))
		wait(client, rlock.WithOwner(t.Context(), hold.Owner()))
		for range waiters {
			next := await(t, got)
			require.NoError(t, next.err)
			assert.GreaterOrEqual(t, next.at.Sub(start), time.Second)
			assert.Less(t, next.at.Sub(start), 1100*time.Millisecond)
			require.NoError(t, next.hold.Unlock(t.Context()))
		}
	})
}

func TestWaiterOfTheSameProcessNeedsNoMessageToKnowTheMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		hold := must(t)(lock.Lock(stranger(t), rlock.WithMinHold(time.Second)))
		got := later(func() attempt { return attempted(lock.Lock(stranger(t))) })
		time.Sleep(100 * time.Millisecond)
		w.deny("PUBLISH", "NOPERM this user has no permissions")
		require.NoError(t, hold.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
		assert.GreaterOrEqual(t, time.Since(start), time.Second)
		assert.Less(t, time.Since(start), 1100*time.Millisecond)
	})
}

func TestMinimumOfAProcessThatDiesAtOnceIsKept(t *testing.T) {
	for name, least := range map[string]time.Duration{"Shorter": 10 * time.Second, "LongerThanTheWatchdogs": time.Hour} {
		lease := max(least, 30*time.Second)
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithMinHold(least)))
				assert.Equal(t, lease, w.ttl("orders"))
			})
		})
		// It must not have the short first lease of a lock that was handed over.
		for where, other := range map[string]bool{"FromItsProcess": false, "FromAnotherProcess": true} {
			t.Run(name+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock := w.lock(t, "orders")
					before := lock
					if other {
						before = w.lock(t, "orders")
					}
					holder := must(t)(before.Lock(stranger(t)))
					got := later(func() attempt { return attempted(lock.Lock(stranger(t), rlock.WithMinHold(least))) })
					time.Sleep(time.Second)
					require.NoError(t, holder.Unlock(t.Context()))
					start := time.Now()
					hold := must(t)(fields(await(t, got)))
					assert.Less(t, time.Since(start), 100*time.Millisecond)
					assert.Equal(t, start.Add(lease), time.Now().Add(w.ttl("orders")))
					time.Sleep(2 * time.Second)
					require.NoError(t, hold.Unlock(t.Context()))
					assert.Equal(t, start.Add(least), time.Now().Add(w.ttl("orders")))
				})
			})
		}
	}
}

func TestLongestMinimumOfAllHoldsCounts(t *testing.T) {
	const s = time.Second
	for name, is := range map[string]struct {
		outer, inner []rlock.LockOption
		reduced      time.Duration // TTL a second later, when the inner hold was given back
		kept         time.Duration // TTL another second later, when both were
	}{
		"Outer":       {[]rlock.LockOption{rlock.WithMinHold(10 * s)}, nil, 30 * s, 8 * s},
		"Inner":       {nil, []rlock.LockOption{rlock.WithMinHold(10 * s)}, 30 * s, 8 * s},
		"InnerLonger": {nil, []rlock.LockOption{rlock.WithMinHold(60 * s)}, 59 * s, 58 * s},
		"Both":        {[]rlock.LockOption{rlock.WithMinHold(5 * s)}, []rlock.LockOption{rlock.WithMinHold(3 * s)}, 30 * s, 3 * s},
		"Over":        {[]rlock.LockOption{rlock.WithMinHold(2 * s)}, []rlock.LockOption{rlock.WithMinHold(1 * s)}, 30 * s, 0},
		"FixedOuter":  {[]rlock.LockOption{rlock.WithLease(5 * s)}, []rlock.LockOption{rlock.WithMinHold(10 * s)}, 9 * s, 8 * s},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				outer := must(t)(lock.Lock(t.Context(), is.outer...))
				inner := must(t)(lock.Lock(t.Context(), is.inner...))
				time.Sleep(s)
				require.NoError(t, inner.Unlock(t.Context()))
				assert.Equal(t, is.reduced, w.ttl("orders"))
				require.NoError(t, outer.Err())
				time.Sleep(s)
				require.NoError(t, outer.Unlock(t.Context()))
				assert.Equal(t, is.kept, w.ttl("orders"))
				_, err := lock.TryLock(t.Context(), 0)
				assert.Equal(t, is.kept > 0, err != nil)
			})
		})
	}
}

// The outer hold ends by itself, while the lock is still taken for the sake of the inner one.
func TestOwnerDoesNotEnterALockThatOutlivedItsHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		outer := must(t)(lock.Lock(t.Context(), rlock.WithLease(2*time.Second)))
		require.NoError(t, must(t)(lock.Lock(t.Context(), rlock.WithMinHold(10*time.Second))).Unlock(t.Context()))
		<-outer.Done()
		assert.Equal(t, rlock.Expired, reasonOf(outer.Err()))
		_, err := lock.TryLock(t.Context(), 0)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		must(t)(lock.Lock(t.Context()))
		assert.InDelta(t, 10*time.Second, time.Since(start), float64(10*time.Millisecond))
	})
}

func TestCloseLeavesTheLockTakenForTheRestOfTheMinimum(t *testing.T) {
	for name, is := range map[string]struct{ held, left time.Duration }{
		"Before": {time.Second, 9 * time.Second}, "After": {10 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				client := w.client(t)
				hold := must(t)(client.NewLock("orders").Lock(t.Context(), rlock.WithMinHold(10*time.Second)))
				start := time.Now()
				got := later(func() attempt { return attempted(w.lock(t, "orders").Lock(stranger(t))) })
				time.Sleep(is.held)
				require.NoError(t, client.Close())
				went(t, start, is.held)
				assert.Equal(t, rlock.ClientClosed, reasonOf(hold.Err()))
				must(t)(fields(await(t, got)))
				assert.InDelta(t, is.held+is.left, time.Since(start), float64(10*time.Millisecond))
			})
		})
	}
}

func TestForceUnlockFreesAKeptLockAtOnce(t *testing.T) {
	for _, unlocked := range []bool{false, true} {
		t.Run(fmt.Sprint("Unlocked", unlocked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				hold := must(t)(lock.Lock(t.Context(), rlock.WithMinHold(10*time.Second)))
				if unlocked {
					require.NoError(t, hold.Unlock(t.Context()))
				}
				was, err := w.lock(t, "orders").ForceUnlock(t.Context())
				require.NoError(t, err)
				assert.True(t, was)
				start := time.Now()
				next := must(t)(lock.TryLock(t.Context(), 0))
				require.NoError(t, next.Unlock(t.Context()))
				assert.False(t, w.server.Exists("orders"), "the minimum was that of the hold before")
				went(t, start, 0)
			})
		})
	}
}

// The owner's next attempt begins while the release is under way, and gets the lock before
// the minimum is over because it is forced open. Its hold has no minimum.
func TestMinimumIsThatOfItsHoldsAndNotOfTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock, other := w.lock(t, "orders"), w.lock(t, "orders")
		ctx := stranger(t)
		hold := must(t)(lock.Lock(ctx, rlock.WithMinHold(time.Hour)))
		w.hush()
		unlocked := later(func() error { return hold.Unlock(ctx) })
		synctest.Wait()
		got := later(func() attempt { return attempted(lock.Lock(ctx)) })
		synctest.Wait()
		w.repair()
		require.NoError(t, await(t, unlocked))
		assert.Equal(t, time.Hour, w.ttl("orders"))

		_, err := other.ForceUnlock(t.Context())
		require.NoError(t, err)
		require.NoError(t, must(t)(fields(await(t, got))).Unlock(ctx))
		assert.False(t, w.server.Exists("orders"))
	})
}

// Nobody ever had the hold, so there is nothing to keep.
func TestAbandonedAttemptIsUndoneWhateverItsMinimum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		w.hush()
		_, err := client.NewLock("orders").TryLock(t.Context(), 0, rlock.WithMinHold(time.Hour))
		requireFault(t, err)
		w.repair()
		require.NoError(t, client.Close()) // waits for what was abandoned
		assert.False(t, w.server.Exists("orders"))
	})
}

// A renewal may still be on its way when the lock is given back.
func TestLateScriptsOfTheOwnerDoNotTouchAKeptLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context(), rlock.WithMinHold(10*time.Second)))
		before, err := lock.Inspect(t.Context())
		require.NoError(t, err)
		require.NoError(t, hold.Unlock(t.Context()))
		kept, err := lock.Inspect(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, kept.Holds)

		rdb := w.connect()
		defer rdb.Close()
		_, err = lua.Renew(t.Context(), rdb, []lua.Renewal{{Key: "orders", Owner: before.Owner, Lease: time.Minute}})
		require.NoError(t, err)
		_, err = lua.Reduce(t.Context(), rdb, "orders", before.Owner, 1, time.Minute, lua.Told{})
		require.NoError(t, err)
		_, err = lua.Acquire(t.Context(), rdb, "orders", before.Owner, 1, time.Minute)
		require.NoError(t, err)
		_, err = lua.Release(t.Context(), rdb, "orders", before.Owner, channelName("orders"))
		require.NoError(t, err)
		after, err := lock.Inspect(t.Context())
		require.NoError(t, err)
		assert.Equal(t, kept, after)
	})
}

func TestUnlockThatWasRefusedKeepsTheRestThatIsLeftWhenItSucceeds(t *testing.T) {
	for name, is := range map[string]struct{ away, left time.Duration }{
		"Before": {5 * time.Second, 5 * time.Second}, "After": {12 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				hold := must(t)(lock.Lock(t.Context(), rlock.WithMinHold(10*time.Second)))
				w.refuse("ERR no")
				require.Error(t, hold.Unlock(t.Context()))
				time.Sleep(is.away)
				w.repair()
				require.NoError(t, hold.Unlock(t.Context()))
				assert.Equal(t, is.left, w.ttl("orders"))
			})
		})
	}
}

// The owner's next attempt stays unanswered, and whatever it took is given back. That must
// not free the lock before the minimum is over, whether or not Unlock has succeeded.
func TestUnansweredAttemptOfTheOwnerDoesNotEndTheMinimum(t *testing.T) {
	for name, refused := range map[string]bool{"Unlocked": false, "UnlockRefused": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				start := time.Now()
				hold := must(t)(lock.Lock(t.Context(), rlock.WithMinHold(time.Minute)))
				if refused {
					w.refuse("ERR no")
					require.Error(t, hold.Unlock(t.Context()))
					w.repair()
				} else {
					require.NoError(t, hold.Unlock(t.Context()))
				}

				w.hush()
				got := later(func() attempt {
					return attempted(lock.Lock(rlock.WithOwner(t.Context(), hold.Owner())))
				})
				synctest.Wait()
				w.disconnect()
				requireFault(t, await(t, got).err)
				w.repair()
				time.Sleep(10 * time.Second)
				assert.Equal(t, start.Add(time.Minute), time.Now().Add(w.ttl("orders")))

				require.NoError(t, hold.Unlock(t.Context()))
				require.NoError(t, hold.Err())
				_, err := lock.TryLock(t.Context(), 0)
				require.ErrorIs(t, err, rlock.ErrNotAcquired)
				time.Sleep(time.Until(start.Add(time.Minute)))
				must(t)(lock.TryLock(t.Context(), 0))
			})
		})
	}
}

// The last hold ends by itself while the owner enters the lock once more, and the lock is
// still taken for the sake of one that was given back: the owner waits like everybody else.
func TestMinimumOutlivesTheHoldsThatEndDuringAReentry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		outer := must(t)(lock.Lock(t.Context(), rlock.WithLease(2*time.Second)))
		require.NoError(t, must(t)(lock.Lock(t.Context(), rlock.WithMinHold(time.Minute))).Unlock(t.Context()))
		time.Sleep(time.Second)
		w.hush()
		got := later(func() attempt { return attempted(lock.Lock(rlock.WithOwner(t.Context(), outer.Owner()))) })
		<-outer.Done()
		w.repair()
		_, err := lock.TryLock(stranger(t), time.Until(start.Add(time.Minute-time.Millisecond)))
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		hold := must(t)(fields(await(t, got)))
		assert.WithinRange(t, time.Now(), start.Add(time.Minute), start.Add(time.Minute+time.Second))
		require.NoError(t, hold.Unlock(t.Context()))
	})
}

// The hold that stays ends by itself while the one with the minimum is given back.
func TestMinimumOutlivesAHoldThatEndsDuringTheUnlockOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx := stranger(t)
		outer := must(t)(lock.Lock(ctx, rlock.WithMinHold(time.Minute)))
		inner := must(t)(lock.Lock(ctx, rlock.WithLease(2*time.Second)))
		time.Sleep(time.Second)
		w.hush()
		unlocking := later(func() error { return outer.Unlock(ctx) })
		<-inner.Done()
		w.repair()
		require.NoError(t, await(t, unlocking))
		_, err := lock.TryLock(ctx, 50*time.Second)
		require.ErrorIs(t, err, rlock.ErrNotAcquired, "the same owner")
		must(t)(lock.Lock(ctx))
	})
}

// Lock has got the hold and not returned it yet when another hold of the owner is given
// back.
func TestReductionKeepsTheMinimumOfAHoldThatLockIsAboutToReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx := stranger(t)
		must(t)(lock.Lock(ctx))
		for range 100 { // one of two goroutines goes on first
			inner := must(t)(lock.Lock(ctx))
			w.hush()
			locked := later(func() attempt { return attempted(lock.Lock(ctx, rlock.WithMinHold(time.Minute))) })
			synctest.Wait()
			unlocked := later(func() error { return inner.Unlock(ctx) })
			synctest.Wait()
			w.repair()
			must(t)(fields(await(t, locked)))
			require.NoError(t, await(t, unlocked))
			require.Equal(t, time.Minute, w.ttl("orders"))
			time.Sleep(time.Minute)
			require.NoError(t, lock.Unlock(ctx))
		}
	})
}
