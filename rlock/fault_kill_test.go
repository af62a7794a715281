package rlock_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// A counter is what a lock guards: two holders at once lose an update.
type counter struct{ value atomic.Int64 }

func (c *counter) increment() {
	value := c.value.Load()
	for range 3 {
		rand.N(time.Now().UnixNano()) // some time for somebody else to come in between
	}
	c.value.Store(value + 1)
}

// repeat runs disturb again and again, with pauses of the given length, until stop is
// called, which waits for it.
func repeat(t *testing.T, pause time.Duration, disturb func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			if err := disturb(ctx); err != nil && ctx.Err() == nil {
				assert.NoError(t, err, "disturb the client")
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

// unlock gives a hold back, again while it meets faults, and fails on anything else.
func unlock(t *testing.T, hold *rlock.Hold) {
	t.Helper()
	for give := time.Now().Add(soon); ; {
		err := hold.Unlock(context.Background())
		if err == nil {
			return
		}
		if !assert.True(t, isFault(err), "unlock: %v", err) || !assert.True(t, time.Now().Before(give), "unlock: %v", err) {
			return
		}
	}
}

func TestLocksStayRightWhileConnectionsAreKilled(t *testing.T) {
	t.Parallel()
	for variant, mutate := range map[string]func(*rueidis.ClientOption){
		"Default":               func(*rueidis.ClientOption) {},
		"OneConnection":         oneConnection,
		"DisableAutoPipelining": unpipelined,
	} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			const goroutines, rounds = 8, 150
			s := redistest.Start(t)
			client := newClient(t, s.Client(t, mutate), rlock.WithGracePeriod(5*time.Second))
			shared, prefix := client.NewLock("shared"), "own:"
			var count counter
			var faults, taken, released atomic.Int64

			kills, known := 0, int64(-1)
			stop := repeat(t, 10*time.Millisecond, func(ctx context.Context) error {
				if released.Load() == known { // a busy machine takes longer than this to connect
					return nil
				}
				known = released.Load()
				kills++
				_, err := s.Call(ctx, "CLIENT", "KILL", "TYPE", "normal")
				if err == nil && kills%25 == 0 { // it is not made again at once if it breaks at once
					_, err = s.Call(ctx, "CLIENT", "KILL", "TYPE", "pubsub")
				}
				return err
			})
			var wg sync.WaitGroup
			for i := range goroutines {
				own := client.NewLock(prefix + string(rune('a'+i)))
				wg.Go(func() {
					ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())
					for range rounds {
						for _, lock := range []*rlock.Lock{own, shared} {
							hold, err := lock.Lock(ctx)
							if err != nil {
								if faults.Add(1) == 1 {
									t.Logf("the first fault: %v", err)
								}
								assert.True(t, isFault(err), "lock: %v", err)
								continue
							}
							if lock == shared {
								taken.Add(1)
								count.increment()
							}
							unlock(t, hold)
							released.Add(1)
							assert.NoError(t, hold.Err())
						}
					}
				})
			}
			wg.Wait()
			stop()
			t.Logf("%d of %d attempts met a fault, %d times were connections killed", faults.Load(), 2*goroutines*rounds, kills)
			assert.Greater(t, kills, 25, "both kinds of connections were killed")
			assert.Less(t, faults.Load(), int64(goroutines*rounds/10), "faults are ridden out")
			assert.Equal(t, taken.Load(), count.value.Load(), "lost updates")

			require.NoError(t, client.Close())
			require.Empty(t, s.Do(t, "KEYS", "*"), "locks were left behind")
		})
	}
}

// The release is published while the waiter's connections are down, so that nobody
// tells it.
func TestWaiterGetsALockThatWasReleasedWhileItWasCutOff(t *testing.T) {
	t.Parallel()
	for kind, acquire := range longWaits {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			proxy := server.Proxy(t)
			client := newClient(t, server.Client(t, proxy.Use), rlock.WithGracePeriod(30*time.Second))
			lock := client.NewLock(uniqueName(t))
			occupy(t, server, lock.Name(), time.Hour)
			waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
				return acquire(ctx, lock)
			})
			awaitListener(t, server, lock.Name())

			proxy.Refuse(true)
			proxy.CutAll()
			until(t, soon, "the server has noticed", func() bool { return listeners(t, server, lock.Name()) == 0 })
			vacate(t, server, lock.Name())
			stillWaiting(t, waiting)
			proxy.Refuse(false)

			got := result(t, waiting, soon)
			require.NoError(t, got.err)
			require.NoError(t, got.hold.Unlock(t.Context()))
			requireFree(t, server, lock.Name())
		})
	}
}

// Only the pub/sub connection breaks, and the lock is freed without a word.
func TestWaiterTriesWhenItsSubscriptionIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(30*time.Second)) // reconnects come with growing pauses
	for range 5 {
		lock := client.NewLock(uniqueName(t))
		occupy(t, s, lock.Name(), time.Hour)
		waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
		awaitListener(t, s, lock.Name())
		s.Do(t, "DEL", lock.Name())
		s.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")

		got := result(t, waiting, soon)
		require.NoError(t, got.err)
		require.NoError(t, got.hold.Unlock(t.Context()))
		requireFree(t, s, lock.Name())
	}
}

func TestFlushedScriptsAreNoticedByNobody(t *testing.T) {
	t.Parallel()
	const goroutines, rounds = 8, 100
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), patient)
	lock := client.NewLock(uniqueName(t))
	var count counter
	stop := repeat(t, time.Millisecond, func(ctx context.Context) error {
		_, err := s.Call(ctx, "SCRIPT", "FLUSH")
		return err
	})
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())
			for range rounds {
				outer, err := lock.Lock(ctx)
				if !assert.NoError(t, err) {
					return
				}
				inner, err := lock.TryLock(ctx, 0)
				assert.NoError(t, err)
				count.increment()
				assert.NoError(t, inner.Unlock(ctx))
				n, err := lock.HoldCount(ctx)
				assert.NoError(t, err)
				assert.Equal(t, 1, n)
				assert.NoError(t, outer.Unlock(ctx))
			}
		})
	}
	wg.Wait()
	stop()
	require.EqualValues(t, goroutines*rounds, count.value.Load())
	requireFree(t, s, lock.Name())
	stats := s.CommandStats(t)
	require.Greater(t, stats["eval"].Calls, int64(6), "no script was ever missing: %s", strings.Join(keysOf(stats), " "))
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}
