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

// Each of the two ways to wait, for longer than any fault may take to be reported.
var longWaits = map[string]func(ctx context.Context, lock *rlock.Lock) (*rlock.Hold, error){
	"Lock": func(ctx context.Context, lock *rlock.Lock) (*rlock.Hold, error) {
		return lock.Lock(ctx)
	},
	"LockWithTimeLimit": func(ctx context.Context, lock *rlock.Lock) (*rlock.Hold, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return lock.Lock(ctx)
	},
	"TryLock": func(ctx context.Context, lock *rlock.Lock) (*rlock.Hold, error) {
		return lock.TryLock(ctx, time.Minute)
	},
}

func TestFirstAttemptReturnsTheFaultOfAServerThatIsDown(t *testing.T) {
	t.Parallel()
	for kind, acquire := range longWaits {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			client := newClient(t, s.Client(t))
			lock := client.NewLock(uniqueName(t))
			hold, err := acquire(t.Context(), lock) // so that there are connections
			require.NoError(t, err)
			require.NoError(t, hold.Unlock(t.Context()))
			s.Kill()

			for _, connections := range []string{"dead", "none"} {
				began := time.Now()
				_, err := acquire(t.Context(), lock)
				requireFault(t, err)
				assert.Less(t, time.Since(began), soon, "with connections: %s", connections)
				assert.ErrorContains(t, err, lock.Name())
			}

			s.Restart(t)
			reach(t, lock)
			takeAndRelease(t, client, lock.Name())
		})
	}
}

// What cannot be sent is not insisted on: with a grace period that is longer than the
// test may take, the fault is still there at once.
func TestFirstAttemptDoesNotRideOutARefusedConnection(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(time.Minute))
	lock := client.NewLock(uniqueName(t))
	s.Kill()
	for kind, acquire := range longWaits {
		got := result(t, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
			return acquire(ctx, lock)
		}), soon)
		requireFault(t, got.err)
		assert.Less(t, got.took, soon, kind)
	}
	_, err := lock.TryLock(t.Context(), 0)
	requireFault(t, err)
	_, err = lock.Inspect(t.Context())
	requireFault(t, err)
}

// A load balancer without a backend looks like this.
func TestServerThatClosesAfterAcceptIsAFault(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := s.Proxy(t)
	const grace = 300 * time.Millisecond
	client := newClient(t, s.Client(t, proxy.Use), rlock.WithGracePeriod(grace))
	lock := client.NewLock(uniqueName(t))
	proxy.Refuse(true)
	proxy.CutAll()
	for kind, acquire := range longWaits {
		got := result(t, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
			return acquire(ctx, lock)
		}), grace+soon)
		requireFault(t, got.err)
		assert.Less(t, got.took, grace+soon, kind)
	}
	_, err := lock.TryLock(t.Context(), 0)
	requireFault(t, err)

	proxy.Refuse(false)
	reach(t, lock)
	takeAndRelease(t, client, lock.Name())
	awaitFree(t, s, lock.Name())
}

func TestWaiterRidesOutAShortFault(t *testing.T) {
	t.Parallel()
	for kind, acquire := range longWaits {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			proxy := s.Proxy(t)
			client := newClient(t, s.Client(t, proxy.Use), rlock.WithGracePeriod(30*time.Second))
			lock := client.NewLock(uniqueName(t))
			occupy(t, s, lock.Name(), time.Hour)
			waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
				return acquire(ctx, lock)
			})
			awaitListener(t, s, lock.Name())

			s.Kill()
			until(t, soon, "the client's connections are gone", func() bool { return proxy.Connections() == 0 })
			stillWaiting(t, waiting)
			s.Restart(t) // without data: the lock is free

			got := result(t, waiting, soon)
			require.NoError(t, got.err)
			require.NoError(t, got.hold.Unlock(t.Context()))
			requireFree(t, s, lock.Name())
		})
	}
}

// The lease of the holder ends while the server is away, so that the waiter tries in
// vain, again and again.
func TestWaiterRidesOutAFaultThatItsAttemptsMeet(t *testing.T) {
	t.Parallel()
	const lease, away = 8 * time.Second, 9 * time.Second
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(time.Minute))
	var waiting []<-chan call
	for _, acquire := range longWaits {
		lock := client.NewLock(uniqueName(t))
		occupy(t, s, lock.Name(), lease)
		waiting = append(waiting, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
			return acquire(ctx, lock)
		}))
		awaitListener(t, s, lock.Name())
	}
	s.Kill()
	fault := time.NewTimer(away)
	<-fault.C
	for _, w := range waiting {
		stillWaiting(t, w)
	}
	s.Restart(t)
	for _, w := range waiting {
		got := result(t, w, soon)
		require.NoError(t, got.err)
		require.NoError(t, got.hold.Unlock(t.Context()))
		requireFree(t, s, got.hold.Name())
	}
}

func TestWaiterReturnsALongFaultAfterTheGracePeriod(t *testing.T) {
	t.Parallel()
	for kind, acquire := range longWaits {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			const grace = 700 * time.Millisecond
			client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
			lock := client.NewLock(uniqueName(t))
			occupy(t, s, lock.Name(), time.Hour)
			waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
				return acquire(ctx, lock)
			})
			awaitWaiter(t, s, lock.Name())

			killed := time.Now()
			s.Kill()
			got := result(t, waiting, grace+soon)
			requireFault(t, got.err)
			// It counts from the beginning of the try that met the fault.
			assert.GreaterOrEqual(t, got.at.Sub(killed), grace-100*time.Millisecond)
		})
	}
}

// Only the waiter in front talks to the server: the others must not depend on it to
// learn of a fault, nor wait for one grace period after the other.
func TestAllWaitersReturnALongFaultTogether(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const grace = 500 * time.Millisecond
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
	lock := client.NewLock(uniqueName(t))
	occupy(t, s, lock.Name(), time.Hour)
	var waiting []<-chan call
	for range 40 {
		waiting = append(waiting, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
			return lock.Lock(ctx)
		}))
	}
	awaitListener(t, s, lock.Name())

	s.Kill()
	for _, w := range waiting {
		requireFault(t, result(t, w, grace+soon).err)
	}
}

func TestUnlockOfAServerThatIsDownCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := s.Proxy(t)
	client := newClient(t, s.Client(t, proxy.Use), rlock.WithGracePeriod(200*time.Millisecond))
	lock := client.NewLock(uniqueName(t))
	hold, err := lock.Lock(t.Context())
	require.NoError(t, err)
	proxy.Refuse(true)
	proxy.CutAll()

	began := time.Now()
	requireFault(t, hold.Unlock(t.Context()))
	assert.Less(t, time.Since(began), soon)
	require.NotEmpty(t, holders(t, s, lock.Name()))

	proxy.Refuse(false)
	reach(t, lock)
	require.NoError(t, hold.Unlock(t.Context()))
	requireFree(t, s, lock.Name())
	require.NoError(t, hold.Err())
	require.NoError(t, hold.Unlock(t.Context()), "a second Unlock after a success")
}

func TestHoldEndsAtOnceWhenTheServerComesBackEmpty(t *testing.T) {
	t.Parallel()
	for _, lease := range []string{"Watched", "Fixed"} {
		t.Run(lease, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			client := newClient(t, s.Client(t)) // renews every 10 s
			lock := client.NewLock(uniqueName(t))
			var options []rlock.LockOption
			if lease == "Fixed" {
				options = append(options, rlock.WithLease(time.Hour))
			}
			hold, err := lock.Lock(t.Context(), options...)
			require.NoError(t, err)
			ended := hold.Done()

			s.Restart(t)
			awaitClosed(t, ended, soon, "the hold ends")
			requireLost(t, hold, rlock.Removed)
			err = hold.Unlock(t.Context())
			require.ErrorIs(t, err, rlock.ErrLost)
			takeAndRelease(t, client, lock.Name())
		})
	}
}

// The connection broke, but the server kept the lock: so does its holder.
func TestHoldSurvivesAnInterruptionThatLosesNothing(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := s.Proxy(t)
	client := newClient(t, s.Client(t, proxy.Use, oneConnection))
	lock := client.NewLock(uniqueName(t))
	hold, err := lock.Lock(t.Context())
	require.NoError(t, err)
	for range 5 {
		until(t, soon, "a pub/sub connection is there too", func() bool { return proxy.Connections() >= 2 })
		s.ResetStats(t)
		proxy.CutAll()
		until(t, soon, "the hold is verified", func() bool { return s.CommandStats(t)["evalsha"].Calls > 0 })
		require.NoError(t, hold.Err())
	}
	require.NoError(t, hold.Unlock(t.Context()))
	requireFree(t, s, lock.Name())
}
