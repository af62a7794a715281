package bench_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/rlock"
)

// One script must renew at least that many locks.
const locksPerScript = 100

// BenchmarkRenewal holds many watched locks; one operation is one round of the
// watchdog.
func BenchmarkRenewal(b *testing.B) {
	const locks = 100_000
	h := newHoard(b, locks, 30*time.Second)
	var scripts, rounds int
	var took, used time.Duration
	for b.Loop() {
		r := h.round(b)
		rounds++
		scripts += r.scripts
		took += r.took
		used += r.used
	}
	perRound := float64(scripts) / float64(rounds)
	b.ReportMetric(perRound, "scripts/round")
	b.ReportMetric(float64(took.Nanoseconds())/float64(rounds), "round-ns")
	b.ReportMetric(float64(used.Microseconds())/float64(rounds), "redis-µs/round")
	if perRound > locks/locksPerScript {
		b.Errorf("a round takes %.0f scripts for %d locks, at most %d are allowed", perRound, locks, locks/locksPerScript)
	}
}

func TestOneScriptRenewsManyLocks(t *testing.T) {
	t.Parallel()
	const locks = 5000
	h := newHoard(t, locks, 18*time.Second)
	assert.LessOrEqual(t, h.round(t).scripts, locks/locksPerScript)
}

// A hoard is many locks that are held and watched, on a server of their own.
type hoard struct {
	server  *redistest.Server
	locks   int
	timeout time.Duration
}

// newHoard takes locks, from as many goroutines as go on well together. They are lost
// with their server when the test is over.
func newHoard(tb testing.TB, locks int, timeout time.Duration) *hoard {
	tb.Helper()
	h := &hoard{server: redistest.Start(tb), locks: locks, timeout: timeout}
	rdb := h.server.Client(tb)
	// A server that does not know a script yet is sent it once more.
	_, err := lua.Renew(context.Background(), rdb, []lua.Renewal{{Key: "nobody's", Owner: "nobody"}})
	require.NoError(tb, err)
	client, err := rlock.New(rdb, rlock.WithWatchdogTimeout(timeout))
	require.NoError(tb, err)
	tb.Cleanup(func() {
		h.server.Do(tb, "FLUSHALL")
		_ = client.Close() // more locks than can be given back in the time that it has
	})
	const goroutines = 64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < locks; i += goroutines {
				if _, err := client.NewLock(h.name(i)).Lock(context.Background()); !assert.NoError(tb, err) {
					return
				}
			}
		})
	}
	wg.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
	return h
}

func (h *hoard) name(i int) string { return fmt.Sprintf("hoard:%d", i) }

// A renewal is what one round of the watchdog was like.
type renewal struct {
	scripts int
	used    time.Duration // the server's time for them
	took    time.Duration // until the last one was seen to have run
}

// round waits for the next round and its end, and fails the test unless it renewed
// every lock.
func (h *hoard) round(tb testing.TB) renewal {
	tb.Helper()
	h.settle(tb)
	h.server.ResetStats(tb)
	var began time.Time // before the round did
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for give := time.Now().Add(h.timeout); ; <-tick.C {
		now := time.Now()
		if scripts, _ := h.scripts(tb); scripts > 0 {
			break
		}
		began = now
		require.True(tb, now.Before(give), "there is no round for %v", h.timeout)
	}
	took := h.settle(tb).Sub(began)
	scripts, used := h.scripts(tb)
	least := h.leastTTL(tb)
	require.GreaterOrEqual(tb, least, h.timeout-time.Since(began)-time.Millisecond, "a lock was not renewed")
	return renewal{scripts: scripts, used: used, took: took}
}

const pollEvery = 5 * time.Millisecond

// settle waits until no script has run for a quarter of the period between two rounds,
// and returns when the last one was seen to have run.
func (h *hoard) settle(tb testing.TB) time.Time {
	tb.Helper()
	quiet := h.timeout / 12
	last, since := -1, time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for give := since.Add(2 * h.timeout); time.Since(since) < quiet; <-tick.C {
		if scripts, _ := h.scripts(tb); scripts != last {
			last, since = scripts, time.Now()
		}
		require.True(tb, time.Now().Before(give), "scripts ran all the time")
	}
	return since
}

// scripts returns how many scripts have run since the statistics were reset, and for
// how long.
func (h *hoard) scripts(tb testing.TB) (calls int, used time.Duration) {
	tb.Helper()
	stats := h.server.CommandStats(tb)
	for _, name := range []string{"eval", "evalsha"} {
		calls += int(stats[name].Calls)
		used += time.Duration(stats[name].USec) * time.Microsecond
	}
	return calls, used
}

// leastTTL returns the shortest time to live among the locks, negative if one is gone.
func (h *hoard) leastTTL(tb testing.TB) time.Duration {
	tb.Helper()
	const script = `local least = math.huge
for i = 0, tonumber(ARGV[1]) - 1 do
  least = math.min(least, redis.call('PTTL', 'hoard:' .. i))
end
return least`
	ms, ok := h.server.Do(tb, "EVAL", script, "0", strconv.Itoa(h.locks)).(int64)
	require.True(tb, ok)
	return time.Duration(ms) * time.Millisecond
}
