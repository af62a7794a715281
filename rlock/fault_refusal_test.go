package rlock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// A refusal is a way in which a server answers and does not do what it is asked.
type refusal struct {
	name     string
	begin    func(t *testing.T, s *redistest.Server)
	end      func(t *testing.T, s *redistest.Server)
	contains string // what the error says
	releases bool   // the server still gives locks back meanwhile
}

var refusals = []refusal{
	{
		name:     "ReadOnly",
		begin:    func(t *testing.T, s *redistest.Server) { t.Helper(); s.Do(t, "REPLICAOF", "127.0.0.1", "1") },
		end:      func(t *testing.T, s *redistest.Server) { t.Helper(); s.Do(t, "REPLICAOF", "NO", "ONE") },
		contains: "READONLY",
	},
	{
		name: "MasterDown",
		begin: func(t *testing.T, s *redistest.Server) {
			t.Helper()
			s.Do(t, "CONFIG", "SET", "replica-serve-stale-data", "no")
			s.Do(t, "REPLICAOF", "127.0.0.1", "1")
		},
		end:      func(t *testing.T, s *redistest.Server) { t.Helper(); s.Do(t, "REPLICAOF", "NO", "ONE") },
		contains: "MASTERDOWN",
	},
	{
		name: "TooFewReplicas",
		begin: func(t *testing.T, s *redistest.Server) {
			t.Helper()
			s.Do(t, "CONFIG", "SET", "min-replicas-to-write", "1")
		},
		end: func(t *testing.T, s *redistest.Server) {
			t.Helper()
			s.Do(t, "CONFIG", "SET", "min-replicas-to-write", "0")
		},
		contains: "NOREPLICAS",
	},
	{
		name:     "OutOfMemory",
		begin:    func(t *testing.T, s *redistest.Server) { t.Helper(); s.Do(t, "CONFIG", "SET", "maxmemory", "1") },
		end:      func(t *testing.T, s *redistest.Server) { t.Helper(); s.Do(t, "CONFIG", "SET", "maxmemory", "0") },
		contains: "OOM",
		releases: true,
	},
}

func TestRefusalsAreFaults(t *testing.T) {
	t.Parallel()
	const grace = 300 * time.Millisecond
	for _, refusal := range refusals {
		t.Run(refusal.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
			lock, held := client.NewLock(uniqueName(t)), client.NewLock(uniqueName(t))
			hold, err := held.Lock(t.Context())
			require.NoError(t, err)

			refusal.begin(t, s)
			for kind, acquire := range longWaits {
				got := result(t, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
					return acquire(ctx, lock)
				}), grace+soon)
				requireFault(t, got.err)
				assert.ErrorContains(t, got.err, refusal.contains, kind)
			}
			_, err = lock.TryLock(t.Context(), 0)
			requireFault(t, err)
			if !refusal.releases {
				requireFault(t, hold.Unlock(t.Context()))
			}
			refusal.end(t, s)

			unlock(t, hold)
			takeAndRelease(t, client, lock.Name())
			require.NoError(t, client.Close())
			requireFree(t, s, lock.Name())
			requireFree(t, s, held.Name())
		})
	}
}

// The lock is freed while the server refuses to take it again: the waiter meets the
// refusal, and tries until it ends.
func TestWaiterRidesOutARefusal(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(30*time.Second))
	for kind, acquire := range longWaits {
		lock := client.NewLock(uniqueName(t))
		occupy(t, s, lock.Name(), time.Hour)
		waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
			return acquire(ctx, lock)
		})
		awaitListener(t, s, lock.Name())
		s.Do(t, "CONFIG", "SET", "maxmemory", "1")
		s.ResetStats(t)
		vacate(t, s, lock.Name())
		until(t, soon, "the waiter has met the refusal", func() bool { return s.CommandStats(t)["evalsha"].Calls > 1 })
		stillWaiting(t, waiting)
		s.Do(t, "CONFIG", "SET", "maxmemory", "0")

		got := result(t, waiting, soon)
		require.NoError(t, got.err, kind)
		require.NoError(t, got.hold.Unlock(t.Context()))
		requireFree(t, s, lock.Name())
	}
}

// A hold whose renewals are refused goes on for as long as its lease does, and then
// ends with the refusal as the reason.
func TestHoldEndsWhenRenewalsAreRefusedForTooLong(t *testing.T) {
	t.Parallel()
	const lease = 9 * time.Second
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithWatchdogTimeout(lease))
	lock := client.NewLock(uniqueName(t))
	began := time.Now()
	hold, err := lock.Lock(t.Context())
	require.NoError(t, err)
	s.Do(t, "REPLICAOF", "127.0.0.1", "1")
	awaitClosed(t, hold.Done(), lease+soon, "the hold ends")
	assert.GreaterOrEqual(t, time.Since(began), lease*9/10, "the hold was given up while its lease lasted")
	requireLost(t, hold, rlock.Unreachable)
	assert.ErrorContains(t, hold.Err(), "READONLY")
}

func TestHoldSurvivesRenewalsThatAreRefusedForAWhile(t *testing.T) {
	t.Parallel()
	const lease = 6 * time.Second
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithWatchdogTimeout(lease))
	lock := client.NewLock(uniqueName(t))
	hold, err := lock.Lock(t.Context())
	require.NoError(t, err)
	s.ResetStats(t)
	s.Do(t, "REPLICAOF", "127.0.0.1", "1")
	until(t, soon, "a renewal was refused", func() bool { return s.CommandStats(t)["evalsha"].Calls > 0 })
	s.Do(t, "REPLICAOF", "NO", "ONE")
	s.ResetStats(t)
	until(t, soon, "a renewal succeeded", func() bool { return s.CommandStats(t)["pexpire"].Calls > 0 })
	require.NoError(t, hold.Err())
	require.NoError(t, hold.Unlock(t.Context()))
	requireFree(t, s, lock.Name())
}

func TestSlowServerIsNoFault(t *testing.T) {
	t.Parallel()
	const delay = 50 * time.Millisecond // one way
	server := redistest.Start(t)        // whose scripts nobody flushes, which makes two round trips of one
	proxy := server.Proxy(t)
	rdb := server.Client(t, proxy.Use)
	proxy.SetDelay(delay)
	client := newClient(t, rdb, rlock.WithGracePeriod(20*time.Second))
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)

	t.Run("RoundTripIsLongerThanTheWait", func(t *testing.T) {
		for _, wait := range []time.Duration{0, delay / 2} {
			hold, err := lock.TryLock(ctx, wait)
			require.NoError(t, err)
			require.NoError(t, hold.Unlock(ctx))
		}
	})
	t.Run("ContentionIsNoFault", func(t *testing.T) {
		occupy(t, server, lock.Name(), time.Hour)
		for _, wait := range []time.Duration{0, delay / 2, 4 * delay} {
			_, err := lock.TryLock(ctx, wait)
			require.ErrorIs(t, err, rlock.ErrNotAcquired)
		}
	})
	t.Run("ReleaseWakesTheWaiter", func(t *testing.T) {
		waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
		awaitListener(t, server, lock.Name())
		vacate(t, server, lock.Name())
		got := result(t, waiting, soon)
		require.NoError(t, got.err)
		require.NoError(t, got.hold.Unlock(ctx))
	})
	t.Run("LeaseIsShorterThanTheRoundTrip", func(t *testing.T) {
		_, err := lock.TryLock(ctx, 0, rlock.WithLease(delay))
		require.ErrorContains(t, err, "shorter than the round trip")
		require.NotErrorIs(t, err, rlock.ErrNotAcquired)
		requireFree(t, server, lock.Name())
	})
	t.Run("LeaseIsTrustedFromBeforeTheRequest", func(t *testing.T) {
		const lease = 12 * time.Second
		ctx := rlock.WithOwner(context.Background(), rlock.NewOwner()) // the round trip is longer than others wait
		proxy.SetDelay(lease / 4)
		began := time.Now()
		hold, err := lock.Lock(ctx, rlock.WithLease(lease))
		require.NoError(t, err)
		awaitClosed(t, hold.Done(), lease, "the lease ends")
		ended := time.Since(began)
		require.NotEmpty(t, holders(t, server, lock.Name()), "the lock ended before the hold, which lasted for %v", ended)
		requireLost(t, hold, rlock.Expired)
	})
}
