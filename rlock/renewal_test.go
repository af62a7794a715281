package rlock_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

func TestWatchedLeaseIsRenewedEveryThird(t *testing.T) {
	for _, timeout := range []time.Duration{30 * time.Second, 3 * time.Second, 5 * time.Minute} {
		t.Run(timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders", rlock.WithWatchdogTimeout(timeout))
				start := time.Now()
				must(t)(lock.Lock(t.Context()))
				w.forget()
				for round := range 5 {
					assert.Equal(t, timeout, w.ttl("orders"), "after %d renewals", round)
					time.Sleep(timeout/3 - time.Millisecond)
					assert.Equal(t, timeout-timeout/3+time.Millisecond, w.ttl("orders"), "before renewal %d", round+1)
					time.Sleep(time.Millisecond)
				}
				var renewals []time.Duration
				for _, c := range w.commands("EVALSHA") {
					renewals = append(renewals, c.at.Sub(start))
				}
				third := timeout / 3
				assert.Equal(t, []time.Duration{third, 2 * third, 3 * third, 4 * third, 5 * third}, renewals)
			})
		})
	}
}

func TestDefaultLeaseIsThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		must(t)(w.lock(t, "orders").Lock(t.Context()))
		assert.Equal(t, 30*time.Second, w.ttl("orders"))
		time.Sleep(10 * time.Second)
		assert.Equal(t, 30*time.Second, w.ttl("orders"))
	})
}

func TestWatchedHoldLastsUntilUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock, other := w.lock(t, "orders"), w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context()))
		for range 10 * 60 {
			time.Sleep(time.Second)
			require.NoError(t, hold.Err())
			_, err := other.TryLock(t.Context(), 0)
			require.ErrorIs(t, err, rlock.ErrNotAcquired)
		}
		require.NoError(t, hold.Unlock(t.Context()))
		must(t)(other.TryLock(t.Context(), 0))
	})
}

func TestRenewalStopsWithUnlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		hold := must(t)(client.NewLock("orders").Lock(t.Context()))
		kept := must(t)(client.NewLock("parcels").Lock(t.Context()))
		time.Sleep(25 * time.Second)
		require.NoError(t, hold.Unlock(t.Context()))
		w.forget()

		time.Sleep(time.Minute)
		for _, c := range w.commands("EVALSHA") {
			assert.NotContains(t, c.args, "orders")
			assert.Contains(t, c.args, "parcels")
		}
		require.NoError(t, kept.Unlock(t.Context()))
		w.forget()

		time.Sleep(10 * time.Minute)
		assert.Empty(t, w.commands(), "nothing is held")
		assert.False(t, w.server.Exists("orders"))
		assert.False(t, w.server.Exists("parcels"))
	})
}

func TestUnlockAwaitsARenewalUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.clientOver(t, w.connect(unpipelined)).NewLock("orders")
		w.hush()
		asked := make(chan error, 3)
		for range cap(asked) { // so that there are connections for all
			go func() {
				_, err := lock.Inspect(t.Context())
				asked <- err
			}()
		}
		synctest.Wait()
		w.repair()
		for range cap(asked) {
			require.NoError(t, <-asked)
		}
		hold := must(t)(lock.Lock(t.Context()))
		time.Sleep(9 * time.Second)
		w.forget()
		w.hush()
		time.Sleep(2 * time.Second)
		unlocked := later(func() error { return hold.Unlock(t.Context()) })
		assert.Len(t, w.commands("EVALSHA", "EVAL"), 1, "the renewal")
		w.repair()
		require.NoError(t, await(t, unlocked))
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestHoldThatCouldNotBeGivenBackIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders").Lock(t.Context()))
		w.deny("DEL", "ERR something that does not pass")
		require.ErrorContains(t, hold.Unlock(t.Context()), "something that does not pass")
		require.True(t, w.server.Exists("orders"))
		time.Sleep(30 * time.Second)
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestHoldsAreRenewedInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const locks, batch = 250, 100
		client := w.client(t)
		for i := range locks {
			must(t)(client.NewLock(fmt.Sprint("orders:", i)).Lock(t.Context()))
		}
		w.forget()
		time.Sleep(10 * time.Second)
		assert.Len(t, w.commands("EVALSHA"), 3, "%d locks by %d", locks, batch)
		for i := range locks {
			assert.Equal(t, 30*time.Second, w.ttl(fmt.Sprint("orders:", i)))
		}
	})
}

func TestFailedRenewalIsTriedAgainWhileThereIsTrust(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				start := time.Now()
				hold := must(t)(w.lock(t, "orders").Lock(t.Context()))
				time.Sleep(9 * time.Second)
				fault(w)
				time.Sleep(15 * time.Second) // two rounds fail
				require.Equal(t, 6*time.Second, w.ttl("orders"))
				w.repair()
				for w.ttl("orders") <= 6*time.Second {
					require.NoError(t, hold.Err())
					time.Sleep(10 * time.Millisecond)
				}
				assert.Less(t, time.Since(start), 30*time.Second)
				time.Sleep(time.Minute)
				assert.NoError(t, hold.Err())
			})
		})
	}
}

// faults are the ways in which a server fails those who ask it.
var faults = map[string]func(w *world){
	"Refused":      func(w *world) { w.refuse(loading) },
	"Disconnected": (*world).disconnect,
	"Silent":       (*world).hush,
}

// The rights of the client's user no longer cover one of the locks that are renewed together.
func TestLockThatMayNotBeRenewedCostsOnlyItself(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t, restricted(t, s, "narrowed", documentedRights(t)...)), rlock.WithWatchdogTimeout(9*time.Second))
	var kept []*rlock.Hold
	for _, name := range []string{"a", "b", "c", "d"} {
		hold, err := client.NewLock(aclPrefix + name).Lock(ownerContext(t))
		require.NoError(t, err)
		kept = append(kept, hold)
	}
	refused, err := client.NewLock(aclPrefix + "refused").Lock(ownerContext(t))
	require.NoError(t, err)
	s.Do(t, "ACL", "SETUSER", "narrowed", "resetkeys", "~"+aclPrefix+"?", "~rlock_queue:*")

	awaitClosed(t, refused.Done(), 9*time.Second+soon, "the hold ends")
	require.ErrorIs(t, refused.Err(), rlock.ErrLost)
	until(t, soon, "the others are renewed", func() bool {
		ttl, ok := s.Do(t, "PTTL", aclPrefix+"a").(int64)
		return ok && ttl > 7500
	})
	for _, hold := range kept {
		require.NoError(t, hold.Err())
	}
}
