package rlock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
	"github.com/go-rlock/rlock/watchdog"
)

func TestWatchedHoldEndsBeforeItsLeaseWhenItCannotBeRenewed(t *testing.T) {
	for name, fault := range faults {
		for when, renewals := range map[string]int{"FromTheStart": 0, "AfterRenewals": 7} {
			t.Run(name+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					hold := must(t)(w.lock(t, "orders").Lock(t.Context()))
					time.Sleep(time.Duration(renewals)*10*time.Second + time.Millisecond)
					renewed := time.Now().Add(-time.Millisecond)
					fault(w)

					end := renewed.Add(30*time.Second - watchdog.Margin(30*time.Second))
					time.Sleep(time.Until(end) - time.Millisecond)
					require.NoError(t, hold.Err())
					require.NoError(t, hold.Context().Err())
					<-hold.Context().Done()
					assert.Equal(t, end, time.Now())
					assert.Equal(t, watchdog.Margin(30*time.Second), w.ttl("orders"))
					require.Positive(t, w.ttl("orders"), "nobody else can have it yet")

					err := hold.Err()
					require.ErrorIs(t, err, rlock.ErrLost)
					assert.Equal(t, rlock.Unreachable, reasonOf(err))
					assert.Equal(t, err, context.Cause(hold.Context()))
					assert.Equal(t, end, lossOf(t, err).Since)
					assert.Error(t, lossOf(t, err).Err, "what failed")
				})
			})
		}
	}
}

func TestUnreachableTellsWhatTheServerSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders").Lock(t.Context()))
		w.refuse(loading)
		<-hold.Done()
		var refusal *rueidis.RedisError
		require.ErrorAs(t, hold.Err(), &refusal)
		assert.ErrorContains(t, hold.Err(), loading)
	})
}

func TestEachHoldIsLostOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders").Lock(t.Context()))
		w.refuse(loading)
		<-hold.Done()
		first := hold.Err()
		w.repair()
		time.Sleep(time.Minute)
		assert.Same(t, lossOf(t, first), lossOf(t, hold.Err()), "a server that is back does not revive it")
	})
}

func TestFixedLeaseEndsByItselfAndIsNotRenewed(t *testing.T) {
	leases := []time.Duration{10 * time.Millisecond, time.Second, 30 * time.Second, 45 * time.Second, 20 * time.Minute}
	for _, lease := range leases {
		t.Run(lease.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				start := time.Now()
				hold := must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithLease(lease)))
				require.Equal(t, lease, w.ttl("orders"))
				time.Sleep(lease / 2)
				require.NoError(t, hold.Err())
				assert.Equal(t, lease-lease/2, w.ttl("orders"))

				trusted := lease - watchdog.Margin(lease)
				time.Sleep(time.Until(start.Add(trusted)) - time.Millisecond)
				require.NoError(t, hold.Err())
				<-hold.Done()
				went(t, start, trusted)
				assert.Equal(t, rlock.Expired, reasonOf(hold.Err()))
				assert.NoError(t, lossOf(t, hold.Err()).Err, "nothing failed")

				assert.Equal(t, watchdog.Margin(lease), w.ttl("orders"))
				require.Positive(t, w.ttl("orders"), "nobody else can have it yet")
				time.Sleep(watchdog.Margin(lease))
				assert.False(t, w.server.Exists("orders"))
			})
		})
	}
}

func TestFixedLeaseExpiresWhetherOrNotTheServerAnswers(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				start := time.Now()
				hold := must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithLease(45*time.Second)))
				fault(w)
				<-hold.Done()
				went(t, start, 45*time.Second-watchdog.Margin(45*time.Second))
				assert.Equal(t, rlock.Expired, reasonOf(hold.Err()))
			})
		})
	}
}

func TestTrustCountsFromBeforeTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		w.hush()
		got := later(func() attempt { return attempted(lock.Lock(t.Context(), rlock.WithLease(10*time.Second))) })
		time.Sleep(4 * time.Second) // on its way to the server, as far as we know
		w.repair()
		hold := must(t)(fields(await(t, got)))
		<-hold.Done()
		went(t, start, 10*time.Second-watchdog.Margin(10*time.Second))
	})
}

func TestLeaseShorterThanTheRoundTripIsUndone(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				for range 20 {
					w.hush()
					got := later(func() attempt { return attempted(lock.Lock(ctx(t), rlock.WithLease(3*time.Second))) })
					time.Sleep(3 * time.Second)
					w.repair()
					_, err := fields(await(t, got))
					require.ErrorContains(t, err, "the lease of 3s is shorter than the round trip to the server, which took 3s")
					require.NotErrorIs(t, err, rlock.ErrNotAcquired)
					require.False(t, w.server.Exists("orders"))
				}
				must(t)(lock.TryLock(stranger(t), 0))
			})
		})
	}
}

func TestLossIsToldToContextsDerivedFromTheHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithLease(time.Second)))
		ctx, cancel := context.WithTimeout(hold.Context(), time.Hour)
		defer cancel()
		<-ctx.Done()
		synctest.Wait()
		assert.ErrorIs(t, ctx.Err(), context.Canceled)
		assert.ErrorIs(t, context.Cause(ctx), rlock.ErrLost)
	})
}
