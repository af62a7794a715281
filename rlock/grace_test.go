package rlock_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

func TestFirstAttemptReturnsItsFaultAtOnce(t *testing.T) {
	down := map[string]func(w *world){
		"Refused":      func(w *world) { w.refuse(loading) },
		"Denied":       func(w *world) { w.refuse("NOPERM this user has no permissions") },
		"Disconnected": (*world).disconnect,
	}
	for name, fault := range down {
		for call, operation := range operations {
			if call == "Unlock" {
				continue // there is nothing to unlock
			}
			for context, ctx := range contexts {
				t.Run(name+"/"+call+"/"+context, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						lock := w.lock(t, "orders")
						fault(w)
						start := time.Now()
						err := operation(ctx(t), lock)
						went(t, start, 0)
						requireFault(t, err)
					})
				})
			}
		}
	}
}

func TestFaultIsTheCauseOfTheError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		w.refuse(loading)
		_, err := lock.Lock(t.Context())
		var refusal *rueidis.RedisError
		require.ErrorAs(t, err, &refusal)
		assert.ErrorContains(t, err, `rlock: lock "orders": `+loading)

		w.disconnect()
		_, err = lock.Lock(t.Context()) // finds the broken connection
		require.Error(t, err)
		_, err = lock.Lock(t.Context())
		var op *net.OpError
		require.ErrorAs(t, err, &op)
	})
}

func TestWaiterRidesOutAFaultOfTheGracePeriod(t *testing.T) {
	// The pauses between attempts to connect are random.
	graces := []time.Duration{time.Second, 30 * time.Second, time.Second, time.Second, time.Second, time.Second, time.Second}
	for name, fault := range faults {
		for i, grace := range graces {
			t.Run(fmt.Sprintf("%s/%v/%d", name, grace, i), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lockTaken(t, w, rlock.WithLease(time.Hour))
					lock := w.lock(t, "orders", rlock.WithGracePeriod(grace))
					got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
					time.Sleep(10 * time.Second)
					fault(w)
					// Released meanwhile, which nobody can tell us.
					time.AfterFunc(grace/2, func() { w.server.Del("orders") })
					time.Sleep(grace * 6 / 10)
					w.repair()
					if name == "Refused" || name == "Silent" { // but for that, nothing happened
						w.server.Publish(channelName("orders"), "0")
					}
					repaired := time.Now()
					must(t)(fields(await(t, got)))
					assert.LessOrEqual(t, time.Since(repaired), 2*time.Second)
				})
			})
		}
	}
}

func TestWaiterReturnsAFaultThatOutlastsTheGracePeriod(t *testing.T) {
	for name, fault := range faults {
		for call, wait := range map[string]func(context.Context, *rlock.Lock) (*rlock.Hold, error){
			"Lock":    func(ctx context.Context, l *rlock.Lock) (*rlock.Hold, error) { return l.Lock(ctx) },
			"TryLock": func(ctx context.Context, l *rlock.Lock) (*rlock.Hold, error) { return l.TryLock(ctx, time.Hour) },
		} {
			for _, grace := range []time.Duration{100 * time.Millisecond, time.Second, 20 * time.Second} {
				t.Run(name+"/"+call+"/"+grace.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						lockTaken(t, w, rlock.WithLease(10*time.Second))
						lock := w.lock(t, "orders", rlock.WithGracePeriod(grace))
						start := time.Now()
						got := later(func() attempt { return attempted(wait(t.Context(), lock)) })
						// It meets the fault when it tries at the end of the lease.
						time.Sleep(10 * time.Second)
						fault(w)
						result := await(t, got)
						requireFault(t, result.err)
						met := result.at.Sub(start) - 10*time.Second
						assert.GreaterOrEqual(t, met, grace)
						assert.LessOrEqual(t, met, grace+patienceWith[name])
					})
				})
			}
		}
	}
}

// patienceWith is how much longer than the grace period a call may ride out a fault: an
// attempt that began within it is awaited.
var patienceWith = map[string]time.Duration{
	"Refused":      300 * time.Millisecond,
	"Disconnected": 300 * time.Millisecond,
	"Silent":       11 * time.Second, // after which the Redis client gives a connection up
}

func TestEachWaiterRidesOutAFaultOfTheChannelForItsOwnGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lockTaken(t, w)
		lock := w.lock(t, "orders")
		w.deny("SUBSCRIBE", "NOPERM this user has no permissions to access one of the channels")
		for range 3 {
			start := time.Now()
			_, err := lock.Lock(t.Context())
			requireFault(t, err)
			assert.ErrorContains(t, err, "NOPERM")
			went(t, start, time.Second)
		}
	})
}

func TestTryLockReturnsAtWaitAndGraceWhenTheServerIsSilent(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Millisecond, 10 * time.Second} {
		for _, grace := range []time.Duration{100 * time.Millisecond, time.Second} {
			for name, ctx := range contexts {
				t.Run(wait.String()+"/"+grace.String()+"/"+name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := newWorld(t)
						lock := w.lock(t, "orders", rlock.WithGracePeriod(grace))
						w.hush()
						start := time.Now()
						_, err := lock.TryLock(ctx(t), wait)
						requireFault(t, err)
						if wait+grace < 5*time.Second { // for which a script may stay unanswered
							went(t, start, wait+grace)
						}
						assert.LessOrEqual(t, time.Since(start), wait+grace)
						w.repair()
						time.Sleep(10 * time.Second)
						assert.False(t, w.server.Exists("orders"), "undone")
					})
				})
			}
		}
	}
}

func TestWaitThatEndsDuringAFaultReturnsTheFault(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lockTaken(t, w, rlock.WithLease(time.Hour))
				lock := w.lock(t, "orders", rlock.WithGracePeriod(2*time.Second))
				start := time.Now()
				got := later(func() attempt { return attempted(lock.TryLock(t.Context(), 10*time.Second)) })
				time.Sleep(9500 * time.Millisecond)
				fault(w)
				result := await(t, got)
				requireFault(t, result.err)
				assert.LessOrEqual(t, result.at.Sub(start), 12*time.Second, "wait and grace period")
			})
		})
	}
}

func TestUnlockRidesOutAFaultOfTheGracePeriod(t *testing.T) {
	for name, fault := range faults {
		for context, ctx := range contexts {
			t.Run(name+"/"+context, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					hold := must(t)(w.lock(t, "orders").Lock(ctx(t)))
					fault(w)
					time.AfterFunc(700*time.Millisecond, w.repair)
					require.NoError(t, hold.Unlock(ctx(t)))
					assert.False(t, w.server.Exists("orders"))
				})
			})
		}
	}
}

func TestUnlockReturnsAFaultThatOutlastsTheGracePeriodAndCanBeRepeated(t *testing.T) {
	for name, fault := range faults {
		for context, ctx := range contexts {
			t.Run(name+"/"+context, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					hold := must(t)(w.lock(t, "orders").Lock(ctx(t)))
					fault(w)
					start := time.Now()
					err := hold.Unlock(ctx(t))
					requireFault(t, err)
					assert.LessOrEqual(t, time.Since(start), time.Second+patienceWith[name])
					w.repair()
					require.NoError(t, hold.Unlock(ctx(t)))
					assert.False(t, w.server.Exists("orders"))
				})
			})
		}
	}
}

func TestUnlockThatFailedIsMadeUpForByTheNextOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		outer, middle, inner := must(t)(lock.Lock(t.Context())), must(t)(lock.Lock(t.Context())), must(t)(lock.Lock(t.Context()))
		w.refuse(loading)
		requireFault(t, inner.Unlock(t.Context()))
		require.NoError(t, inner.Context().Err(), "nobody knows")
		w.repair()
		require.NoError(t, outer.Unlock(t.Context()))
		count, err := lock.HoldCount(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, count)
		<-inner.Done()
		require.NoError(t, middle.Err())
		w.forget()
		require.NoError(t, inner.Unlock(t.Context()))
		assert.Empty(t, w.commands(), "it was given back")
	})
}

func TestUnlockWithAContextThatHasEndedReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx, cancel := context.WithCancel(t.Context())
		hold := must(t)(lock.Lock(ctx))
		cancel()
		require.NoError(t, hold.Unlock(ctx))
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestUnlockWithAContextThatHasEndedReturnsAfterTheGracePeriodAndTheReleaseGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders", rlock.WithGracePeriod(2*time.Second))
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		hold := must(t)(lock.Lock(ctx))
		cancel(cause)
		w.hush()
		start := time.Now()
		err := hold.Unlock(ctx)
		went(t, start, 2*time.Second)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		require.True(t, w.server.Exists("orders"))
		w.repair()
		time.Sleep(time.Second)
		assert.False(t, w.server.Exists("orders"))
	})
}

// One waiter meets a fault, tries again, and gets the lock. Others wait for it to be released.
func TestFaultThatAWaiterHasRiddenOutIsNotReturnedToOthers(t *testing.T) {
	for name, early := range map[string]bool{"WhoWaitAlready": true, "WhoComeLater": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lockTaken(t, w, rlock.WithLease(10*time.Second))
				lock := w.lock(t, "orders")
				wait := func() <-chan attempt {
					got := later(func() attempt { return attempted(lock.Lock(stranger(t))) })
					synctest.Wait()
					return got
				}
				first := wait()
				var second <-chan attempt
				if early {
					second = wait()
				}
				time.Sleep(9 * time.Second)
				w.refuse(loading)
				time.Sleep(1100 * time.Millisecond)
				w.repair()
				hold := must(t)(fields(await(t, first)))
				if !early {
					second = wait()
				}
				time.Sleep(time.Minute)
				require.NoError(t, hold.Unlock(t.Context()))
				must(t)(fields(await(t, second)))
			})
		})
	}
}

// The first has waited long enough during an outage that the others ride out, who have never
// tried: its fault is not theirs.
func TestWaitersRideOutAFaultInWhichTheFirstGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context()))
		first := later(func() attempt { return attempted(lock.TryLock(stranger(t), 10*time.Second)) })
		synctest.Wait()
		order := make(chan int, 5)
		for i := range 5 {
			enlist(stranger(t), t, lock, order, i)
		}
		time.Sleep(9800 * time.Millisecond)
		w.disconnect()
		time.Sleep(400 * time.Millisecond)
		w.repair()
		require.ErrorIs(t, await(t, first).err, rlock.ErrUnavailable)
		time.Sleep(2 * time.Second)
		require.NoError(t, hold.Unlock(t.Context()))
		for i := range 5 {
			require.Equal(t, i, await(t, order))
		}
	})
}
