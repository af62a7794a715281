package rlock_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// A lost wake-up would cost a whole lease, which is longer than the test may take. On a busy
// machine a turn takes 10 ms and more, because several processes have to be given time for it.
func TestNoWakeUpIsLost(t *testing.T) {
	t.Parallel()
	const clients, goroutines, rounds = 2, 16, 60
	for names, kind := range map[int]string{1: "OneName", 3: "ThreeNames"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			locks, counters := freshNames(t, names), make([]counter, names)
			began := time.Now()
			var wg sync.WaitGroup
			for range clients {
				client := newClient(t, server.Client(t), rlock.WithWatchdogTimeout(time.Hour))
				for range goroutines {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
						defer cancel()
						ctx = rlock.WithOwner(ctx, rlock.NewOwner())
						for round := range rounds {
							n := round % names
							hold, err := client.NewLock(locks[n]).Lock(ctx)
							if !assert.NoError(t, err) {
								return
							}
							counters[n].increment()
							assert.NoError(t, hold.Unlock(ctx))
						}
					})
				}
			}
			wg.Wait()
			var total int64
			for i := range counters {
				total += counters[i].value.Load()
				requireFree(t, server, locks[i])
			}
			require.EqualValues(t, clients*goroutines*rounds, total)
			t.Logf("%d acquisitions in %v", total, time.Since(began))
		})
	}
}

// The wake-up comes just when the waiter in front gives up: whoever is behind it gets
// the lock all the same.
func TestWakeUpThatIsNotUsedIsPassedOn(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t), patient)
	for range 30 {
		lock := client.NewLock(uniqueName(t))
		occupy(t, server, lock.Name(), time.Hour)
		wait := time.Duration(10+rand.IntN(10)) * time.Millisecond
		front := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.TryLock(ctx, wait) })
		until(t, soon, "the one in front waits, or has left", func() bool {
			return len(front) > 0 || listeners(t, server, lock.Name()) > 0
		})
		behind := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
		timer := time.NewTimer(time.Duration(rand.IntN(15)) * time.Millisecond) // somewhere around the end of the wait
		<-timer.C
		vacate(t, server, lock.Name())

		if got := result(t, front, soon); got.err == nil {
			require.NoError(t, got.hold.Unlock(t.Context()))
		} else {
			require.ErrorIs(t, got.err, rlock.ErrNotAcquired)
		}
		got := result(t, behind, soon)
		require.NoError(t, got.err)
		require.NoError(t, got.hold.Unlock(t.Context()))
	}
}

// The waiter in front tries for the last time; while the answer is on its way, the lock
// is released, of which the waiter hears before it leaves without the lock.
func TestWakeUpDuringTheLastTryIsPassedOn(t *testing.T) {
	t.Parallel()
	label(t)
	s := redistest.Start(t)
	slow := s.Proxy(t)
	way := &detour{addr: slow.Addr()} // for the scripts; the way of the messages is short
	client := newClient(t, s.Client(t, way.use, oneConnection), patient)
	way.lead(s.Addr())
	lock := client.NewLock(uniqueName(t))
	occupy(t, s, lock.Name(), time.Hour)
	slow.SetDelay(100 * time.Millisecond)
	tries := func() int64 { return s.CommandStats(t)["pttl"].Calls }

	front := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return lock.TryLock(ctx, 6*time.Second)
	})
	until(t, soon, "the one in front has tried twice", func() bool { return tries() >= 2 })
	behind := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
	awaitSleepers(t, 2)
	before := tries()
	until(t, soon, "the one in front has tried for the last time", func() bool { return tries() > before })
	vacate(t, s, lock.Name())

	require.ErrorIs(t, result(t, front, soon).err, rlock.ErrNotAcquired)
	got := result(t, behind, soon)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(t.Context()))
}

// Redisson publishes 0; 1 wakes everybody in its latches.
func TestReleaseByRedissonWakesAWaiter(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	for _, payload := range []string{"0", "1"} {
		t.Run("Payload"+payload, func(t *testing.T) {
			lock := client.NewLock(uniqueName(t))
			occupy(t, server, lock.Name(), time.Hour)
			const waiters = 3
			served := make(chan error, waiters)
			for range waiters {
				ctx := ownerContext(t)
				go func() { served <- lock.Do(ctx, func(context.Context) error { return nil }) }()
			}
			awaitListener(t, server, lock.Name())

			released := time.Now()
			server.Do(t, "DEL", lock.Name())
			server.Do(t, "PUBLISH", channelName(lock.Name()), payload)
			for range waiters {
				select {
				case err := <-served:
					require.NoError(t, err)
				case <-time.After(soon):
					require.FailNow(t, "a waiter was not woken")
				}
			}
			t.Logf("%d waiters were served within %v", waiters, time.Since(released))
			requireFree(t, server, lock.Name())
		})
	}
}

// Without a message, the end of the lease that was seen wakes the waiter.
func TestEndOfTheLeaseWakesAWaiter(t *testing.T) {
	t.Parallel()
	const lease = 1500 * time.Millisecond
	client := newClient(t, server.Client(t))
	for _, kind := range []string{"Expires", "IsRenewedOnce"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			lock := client.NewLock(uniqueName(t))
			occupy(t, server, lock.Name(), lease)
			waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
			until(t, soon, "the waiter sleeps, or has woken up", func() bool {
				return len(waiting) > 0 || listeners(t, server, lock.Name()) > 0
			})
			if kind == "IsRenewedOnce" && len(waiting) == 0 {
				server.Do(t, "PEXPIRE", lock.Name(), strconv.FormatInt(2*lease.Milliseconds(), 10))
			}
			got := result(t, waiting, soon)
			require.NoError(t, got.err)
			require.NoError(t, got.hold.Unlock(t.Context()))
		})
	}
}

// Those behind must not sleep on when the one in front leaves for other reasons than the
// lock: one of them has to look when the lease ends.
func TestNextWaiterTakesOverFromOneThatLeaves(t *testing.T) {
	t.Parallel()
	label(t)
	const lease, behind = 10 * time.Second, 5
	s := redistest.Start(t)
	client := newClient(t, s.Client(t))
	lock := client.NewLock(uniqueName(t))
	occupy(t, s, lock.Name(), lease)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	front := inBackground(ctx, func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
	awaitListener(t, s, lock.Name())
	served := make(chan error, behind)
	for range behind {
		ctx := ownerContext(t)
		go func() { served <- lock.Do(ctx, func(context.Context) error { return nil }) }()
	}
	awaitSleepers(t, 1+behind)
	cancel()
	require.ErrorIs(t, result(t, front, soon).err, context.Canceled)
	for range behind {
		select {
		case err := <-served:
			require.NoError(t, err)
		case <-time.After(lease + soon):
			require.FailNow(t, "a waiter sleeps on")
		}
	}
}

// Waiting costs the server nothing while nothing happens.
func TestWaitersSendNothingWhileTheySleep(t *testing.T) {
	t.Parallel()
	label(t)
	s := redistest.Start(t)
	client := newClient(t, s.Client(t))
	lock := client.NewLock(uniqueName(t))
	occupy(t, s, lock.Name(), time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waiting []<-chan call
	wait := func() {
		waiting = append(waiting, inBackground(ctx, func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) }))
	}
	wait()
	awaitListener(t, s, lock.Name())
	until(t, soon, "it has tried behind the subscription too", func() bool { return s.CommandStats(t)["pttl"].Calls > 1 })
	const behind = 199
	for range behind {
		wait()
	}
	awaitSleepers(t, 1+behind)
	s.ResetStats(t)
	quiet := time.NewTimer(500 * time.Millisecond)
	<-quiet.C
	stats := s.CommandStats(t)
	for _, command := range []string{"evalsha", "eval", "subscribe", "unsubscribe", "exists", "pttl"} {
		assert.Zero(t, stats[command].Calls, command)
	}
	cancel()
	for _, w := range waiting {
		require.ErrorIs(t, result(t, w, soon).err, context.Canceled)
	}
}

var channelCount = regexp.MustCompile(`pubsub_channels:(\d+)`)

// subscribedChannels returns the number of channels that anybody listens on.
func subscribedChannels(t *testing.T, s *redistest.Server) int {
	t.Helper()
	match := channelCount.FindStringSubmatch(fmt.Sprint(s.Do(t, "INFO", "stats")))
	require.Len(t, match, 2)
	n, err := strconv.Atoi(match[1])
	require.NoError(t, err)
	return n
}

// channelsPerName is how many channels a waiter's client listens on.
func channelsPerName() int {
	if handover {
		return 3
	}
	return 1
}

// connections returns the number of the server's connections of that name.
func connections(t *testing.T, s *redistest.Server, name string) int {
	t.Helper()
	return strings.Count(fmt.Sprint(s.Do(t, "CLIENT", "LIST")), " name="+name+" ")
}

// It runs alone: it keeps the machine so busy that limits of other tests could pass.
func TestManyContendedNamesShareTheConnections(t *testing.T) {
	const names, limit = 20_000, 2 * time.Minute
	s := redistest.Start(t)
	const label = "contender"
	rdb := s.Client(t, oneConnection, func(option *rueidis.ClientOption) { option.ClientName = label })
	client := newClient(t, rdb, patient)
	s.Do(t, "EVAL", `for i = 1, ARGV[2] do
		redis.call('HSET', 'n:' .. i, ARGV[1], 1)
		redis.call('PEXPIRE', 'n:' .. i, 3600000)
	end`, "0", foreign, strconv.Itoa(names))

	// One for the Redis client, one for pub/sub.
	const mostConnections = 2
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	errs := make(chan error, names)
	most := 0
	const wave = 2000 // at a time, so that nobody's first attempt queues for long
	for i := range names {
		go func() {
			lock := client.NewLock("n:" + strconv.Itoa(i+1))
			var err error
			if i%2 == 0 {
				_, err = lock.Lock(ctx)
			} else {
				_, err = lock.TryLock(ctx, time.Hour)
			}
			errs <- err
		}()
		if started := i + 1; started%wave == 0 {
			until(t, limit, strconv.Itoa(started)+" wait", func() bool {
				most = max(most, connections(t, s, label))
				select {
				case err := <-errs:
					require.FailNow(t, "a call returned instead of waiting", "%v", err)
				default:
				}
				return subscribedChannels(t, s) == started*channelsPerName()
			})
		}
	}
	assert.LessOrEqual(t, most, mostConnections)

	for _, name := range []string{"n:1", "n:2"} {
		vacate(t, s, name)
		select {
		case err := <-errs:
			require.NoError(t, err, "nobody else can have returned")
		case <-time.After(limit):
			require.FailNow(t, "the waiter was not woken", name)
		}
	}
	cancel()
	for range names - 2 {
		if err := <-errs; !assert.ErrorIs(t, err, context.Canceled) {
			break
		}
	}
	assert.LessOrEqual(t, connections(t, s, label), mostConnections)
	until(t, limit, "nothing is subscribed any more", func() bool { return subscribedChannels(t, s) == 0 })
	require.NoError(t, client.Close())
}

// A busy lock does not subscribe and unsubscribe all the time.
func TestBusyLockSubscribesOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t))
	lock := client.NewLock(uniqueName(t))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())
			for range 50 {
				assert.NoError(t, lock.Do(ctx, func(context.Context) error { return nil }))
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, s.CommandStats(t)["subscribe"].Calls, int64(5))
	until(t, soon, "nothing is subscribed any more", func() bool { return subscribedChannels(t, s) == 0 })
	until(t, soon, "the pub/sub connection is closed", func() bool {
		return strings.Count(fmt.Sprint(s.Do(t, "CLIENT", "LIST")), "flags=P") == 0
	})
}
