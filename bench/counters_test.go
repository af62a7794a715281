package bench_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/bench"
	"github.com/go-rlock/rlock/internal/redistest"
)

// It has a server of its own, because the counters are the server's.
func TestCountersCountWhatScriptsCall(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t)
	before, err := bench.Count(t.Context(), own)
	require.NoError(t, err)
	const script = `redis.call('SET', 'a', ARGV[1]) return redis.call('GET', 'a')`
	payload := strings.Repeat("x", 10_000)
	own.Do(t, "EVAL", script, "0", payload)
	own.Do(t, "PING")
	own.Do(t, "HELLO", "2")
	own.Do(t, "GET", "b")
	after, err := bench.Count(t.Context(), own)
	require.NoError(t, err)

	used := after.Sub(before)
	assert.EqualValues(t, 4, used.Commands, "EVAL, SET, GET; GET")
	assert.EqualValues(t, 1, used.Scripts)
	assert.InDelta(t, 2*len(payload), used.Bytes, 1000, "the payload went in and out")
	assert.Positive(t, after.CPU)
}

func TestReadingTheCountersIsNotCounted(t *testing.T) {
	t.Parallel()
	own := redistest.Start(t)
	before, err := bench.Count(t.Context(), own)
	require.NoError(t, err)
	for range 10 {
		_, err := bench.Count(t.Context(), own)
		require.NoError(t, err)
	}
	after, err := bench.Count(t.Context(), own)
	require.NoError(t, err)
	assert.Zero(t, after.Sub(before).Commands)
}
