package rlock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// A scramble is many goroutines that lock the same names with contexts that end at
// random points.
type scramble struct {
	client *rlock.Client
	names  []string

	calls, got, skipped, canceled, expired atomic.Int64
}

const (
	scrambleNames      = 12
	scrambleGoroutines = 32
	scrambleCalls      = 65   // of each goroutine; nested ones come on top
	scrambleLongest    = 5000 // of the proxy's delays, one way, in microseconds
	scrambleWatch      = 4500 * time.Millisecond
)

// The subtests do not run in parallel: goleak tells whose goroutines are left.
func TestRandomCancellationLeavesNothingBehind(t *testing.T) {
	for variant, mutate := range map[string]func(*rueidis.ClientOption){
		"OneConnection":         oneConnection,
		"ManyConnections":       func(option *rueidis.ClientOption) { option.PipelineMultiplex = 2 },
		"DisableAutoPipelining": unpipelined,
	} {
		t.Run(variant, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			before := goleak.IgnoreCurrent()

			proxy := redistest.NewProxy(t, server.Addr())
			option := rueidis.ClientOption{InitAddress: []string{proxy.Addr()}, ForceSingleClient: true, DisableCache: true}
			mutate(&option)
			rdb, err := rueidis.NewClient(option)
			require.NoError(t, err)
			client, err := rlock.New(rdb, settings(rlock.WithGracePeriod(10*time.Second), rlock.WithWatchdogTimeout(scrambleWatch))...)
			require.NoError(t, err)

			s := &scramble{client: client, names: freshNames(t, scrambleNames)}
			s.play(t, rdb, proxy, seed)
			s.check(t)

			require.NoError(t, client.Close())
			rdb.Close()
			proxy.Close()
			until(t, soon, "no goroutine is left", func() bool { return goleak.Find(before) == nil })
		})
	}
}

func freshNames(t *testing.T, n int) []string {
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = uniqueName(t)
	}
	return names
}

// play runs everything at once.
func (s *scramble) play(t *testing.T, rdb rueidis.Client, proxy *redistest.Proxy, seed uint64) {
	t.Helper()
	jitter := rand.New(rand.NewPCG(seed, 0))
	stopDelays := repeat(t, time.Millisecond, func(context.Context) error {
		proxy.SetDelay(time.Duration(jitter.IntN(scrambleLongest)) * time.Microsecond)
		return nil
	})
	stopBystander := bystander(t, rdb, s.client, uniqueName(t))

	var wg sync.WaitGroup
	for i := range scrambleGoroutines {
		wg.Go(func() { s.run(t, rand.New(rand.NewPCG(seed, uint64(i+1)))) })
	}
	wg.Wait()
	stopBystander()
	stopDelays()
	proxy.SetDelay(0)
	t.Logf("%d calls: %d acquired, %d not, %d canceled, %d expired",
		s.calls.Load(), s.got.Load(), s.skipped.Load(), s.canceled.Load(), s.expired.Load())
	require.GreaterOrEqual(t, s.calls.Load(), int64(2000))
	for _, outcome := range []*atomic.Int64{&s.got, &s.skipped, &s.canceled, &s.expired} {
		require.GreaterOrEqual(t, outcome.Load(), int64(30), "the contexts end at the wrong times for this test to be one")
	}
}

// check expects everybody else to get every lock at once, but for what is being undone.
func (s *scramble) check(t *testing.T) {
	t.Helper()
	rdb, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, ForceSingleClient: true, DisableCache: true})
	require.NoError(t, err)
	defer rdb.Close()
	other := newClient(t, rdb)
	for _, name := range s.names {
		takeAndRelease(t, other, name)
	}
	for _, name := range s.names {
		awaitFree(t, server, name)
	}
	require.NoError(t, other.Close())

	// No lease is watched: nobody would be asked to renew it. What is still sent looks
	// after the last lock that was handed over.
	until(t, soon+3*scrambleWatch, "nothing is sent for a whole period", func() bool {
		server.ResetStats(t)
		timer := time.NewTimer(scrambleWatch/3 + 200*time.Millisecond)
		defer timer.Stop()
		<-timer.C
		return server.CommandStats(t)["evalsha"].Calls == 0
	})
}

// run locks random names in random ways.
func (s *scramble) run(t *testing.T, random *rand.Rand) {
	t.Helper()
	base := rlock.WithOwner(context.Background(), rlock.NewOwner())
	for range scrambleCalls {
		lock := s.client.NewLock(s.names[random.IntN(len(s.names))])
		outer := s.acquire(base, t, lock, random)
		if outer == nil {
			continue
		}
		if random.IntN(3) == 0 {
			if inner := s.acquire(base, t, lock, random); inner != nil {
				assert.NoError(t, inner.Err())
				s.release(base, t, inner, random)
			}
		}
		assert.NoError(t, outer.Err())
		s.release(base, t, outer, random)
	}
}

// acquire makes one attempt and returns nil if it came to nothing.
func (s *scramble) acquire(base context.Context, t *testing.T, lock *rlock.Lock, random *rand.Rand) *rlock.Hold {
	t.Helper()
	s.calls.Add(1)
	ctx, cancel := context.WithCancel(base)
	defer cancel()
	life := time.Duration(random.Int64N(int64(25 * time.Millisecond)))
	switch random.IntN(4) {
	case 0:
		ctx, cancel = context.WithTimeout(ctx, life)
		defer cancel()
	case 1:
		ending := time.AfterFunc(life, cancel)
		defer ending.Stop()
	case 2:
		cancelled := errors.New("a cause")
		var cancelCause context.CancelCauseFunc
		ctx, cancelCause = context.WithCancelCause(ctx)
		ending := time.AfterFunc(life, func() { cancelCause(cancelled) })
		defer ending.Stop()
	}

	var options []rlock.LockOption
	if random.IntN(3) == 0 {
		options = append(options, rlock.WithLease(time.Minute))
	}
	var hold *rlock.Hold
	var err error
	if random.IntN(2) == 0 {
		hold, err = lock.Lock(ctx, options...)
	} else {
		hold, err = lock.TryLock(ctx, time.Duration(random.Int64N(int64(20*time.Millisecond))), options...)
	}
	switch {
	case err == nil:
		s.got.Add(1)
		return hold
	case errors.Is(err, rlock.ErrNotAcquired):
		s.skipped.Add(1)
	case errors.Is(err, context.Canceled):
		s.canceled.Add(1)
		assert.Error(t, ctx.Err(), "somebody else's context error: %v", err)
	case errors.Is(err, context.DeadlineExceeded):
		s.expired.Add(1)
		assert.Error(t, ctx.Err(), "somebody else's context error: %v", err)
	default:
		assert.NoError(t, err)
	}
	return nil
}

// release gives a hold back, now and then under a context that has ended or does so
// meanwhile.
func (s *scramble) release(base context.Context, t *testing.T, hold *rlock.Hold, random *rand.Rand) {
	t.Helper()
	ctx, cancel := context.WithCancel(base)
	defer cancel()
	switch random.IntN(3) {
	case 0:
		cancel()
	case 1:
		ending := time.AfterFunc(time.Duration(random.Int64N(int64(10*time.Millisecond))), cancel)
		defer ending.Stop()
	}
	assert.NoError(t, hold.Unlock(ctx))
	assert.NoError(t, hold.Err())
}

// bystander uses the same Redis client for work of its own, with contexts that never
// end, until stop is called. Whatever error it sees is not its own.
func bystander(t *testing.T, rdb rueidis.Client, client *rlock.Client, name string) (stop func()) {
	t.Helper()
	var rounds int
	stopReading := repeat(t, time.Millisecond, func(context.Context) error {
		ctx := context.Background()
		rounds++
		value := strconv.Itoa(rounds)
		if err := rdb.Do(ctx, rdb.B().Set().Key(name+":value").Value(value).Build()).Error(); err != nil {
			return fmt.Errorf("bystander: SET: %w", err)
		}
		got, err := rdb.Do(ctx, rdb.B().Get().Key(name+":value").Build()).ToString()
		if err == nil && got != value {
			err = fmt.Errorf("bystander: %q was set, %q was read", value, got)
		}
		return err
	})
	stopLocking := repeat(t, time.Millisecond, func(context.Context) error {
		ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())
		return client.NewLock(name).Do(ctx, func(context.Context) error { return nil })
	})
	return func() {
		stopReading()
		stopLocking()
		requireFree(t, server, name)
		server.Do(t, "DEL", name+":value")
	}
}
