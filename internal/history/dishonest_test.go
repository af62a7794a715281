//go:build unix

package history

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/internal/worker"
)

// The checks find what goes wrong with real processes and a real server, too.
func TestChecksFindWhatGoesWrong(t *testing.T) {
	t.Run("HolderWhoDoesNotLookWhenItWasFrozen", func(t *testing.T) {
		t.Parallel()
		records := trial{
			processes:  2,
			operations: 1,
			public:     []bool{false},
			timeouts:   []time.Duration{time.Second},
			long:       "a",
			linger:     15 * time.Second,
			careless:   true,
			begin: func(server *redistest.Server, crew []member) {
				frozen, other := crew[0], crew[1]
				holder := func() string { return fmt.Sprint(server.Do(t, "HKEYS", "a")) }
				var ttl int64
				renewed := func() bool {
					before := ttl
					ttl, _ = server.Do(t, "PTTL", "a").(int64)
					return 0 < before && before < ttl
				}
				frozen.Tell(t, "begin")
				require.Eventually(t, renewed, worker.Limit, time.Millisecond)
				first := holder()
				frozen.Signal(t, syscall.SIGSTOP)
				defer frozen.Signal(t, syscall.SIGCONT)
				other.Tell(t, "begin")
				require.Eventually(t, func() bool {
					second := holder()
					return second != "[]" && second != first
				}, worker.Limit, time.Millisecond)
			},
		}.run(t)
		assert.NotEmpty(t, Overlaps(records))
		assert.ErrorContains(t, Check(records), "no order explains its records")
	})
	t.Run("ServerThatForgetsLocks", func(t *testing.T) {
		t.Parallel()
		records := trial{
			processes:  2,
			operations: 1000,
			owners:     4,
			public:     []bool{false},
			timeouts:   []time.Duration{time.Second},
			names:      []string{"a", "b"},
			faults: func(tb testing.TB, f *faults, _ []member, seed uint64) {
				tb.Helper()
				f.repeat("", rand.New(rand.NewPCG(seed, 1)), time.Millisecond, map[string]func(){
					"forget the locks": func() { f.do(tb, "DEL", "a", "b") },
				})
			},
		}.run(t)
		assert.NotEmpty(t, Overlaps(records))
		assert.ErrorContains(t, Check(records), "no order explains its records")
	})
	t.Run("ServerThatMiscounts", func(t *testing.T) {
		t.Parallel()
		const miscount = `local holder = redis.call('hkeys', KEYS[1])[1]
			if holder then redis.call('hset', KEYS[1], holder, 7) end`
		records := trial{
			processes:  2,
			operations: 1000,
			owners:     4,
			public:     []bool{false},
			timeouts:   []time.Duration{time.Second},
			names:      []string{"a"},
			faults: func(tb testing.TB, f *faults, _ []member, _ uint64) {
				tb.Helper()
				f.quietly(time.Millisecond, func() { f.do(tb, "EVAL", miscount, "1", "a") })
			},
		}.run(t)
		assert.ErrorContains(t, Check(records), "no order explains its records")
	})
}
