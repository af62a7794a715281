package main

import (
	"context"
	"log"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/bench"
	"github.com/go-rlock/rlock/internal/redistest"
)

func newContest(t *testing.T) contest {
	t.Helper()
	all, err := gophers()
	require.NoError(t, err)
	return contest{server: redistest.Start(t), contestants: all, log: log.New(t.Output(), "", 0)}
}

// only returns the contest with these contestants.
func (c contest) only(names ...string) contest {
	var some []contestant
	for _, name := range names {
		for _, one := range c.contestants {
			if one.name == name {
				some = append(some, one)
			}
		}
	}
	c.contestants = some
	return c
}

func TestContestMeasuresEachContestantInEachRound(t *testing.T) {
	t.Parallel()
	c := newContest(t).only(ring, ours, "spin", floor)
	r := newRow(bench.Clients8, bench.Background, time.Millisecond, length{rounds: 2, window: 100 * time.Millisecond})
	all, err := c.run(t.Context(), r)
	require.NoError(t, err)

	require.Len(t, all, 3, "the floor cannot wait")
	for _, f := range all {
		assert.Empty(t, f.Failed, f.Contestant)
		assert.Len(t, f.Rates, 2)
		assert.Positive(t, f.Rate)
		assert.Less(t, f.Rate, 1000.0, "each holds the lock for a millisecond")
		assert.GreaterOrEqual(t, f.P99, f.P50)
		assert.Positive(t, f.RedisCPU)
		assert.Positive(t, f.Bytes)
		assert.Zero(t, f.Stuck)
	}
	assert.InDelta(t, 4, table(all).at(r.name, ring).Commands, 0.3, "a script, HSET, PEXPIRE, PUBLISH")
}

func TestContestWatchesIdleWaiters(t *testing.T) {
	t.Parallel()
	c := newContest(t).only(ours, "spin-backoff")
	r := row{
		name: idleName, task: idle,
		workload: bench.Workload{Clients: 2, Goroutines: 5, Names: 1},
		rounds:   1, window: time.Second,
	}
	all, err := c.run(t.Context(), r)
	require.NoError(t, err)
	assert.Empty(t, all[0].Failed)
	assert.Less(t, all[0].CommandsPerSecond, 1.0, "they sleep")
	assert.Greater(t, all[1].CommandsPerSecond, 20.0, "they do not")
}

func TestContestantThatDoesNotAnswerIsEnded(t *testing.T) {
	t.Parallel()
	c := newContest(t).only(ours)
	worker, err := c.contestants[0].host.worker(t.Context())
	require.NoError(t, err)
	j := job{Task: idle, Contender: ours, Addr: c.server.Addr(), Clients: 1, Goroutines: 1, WindowMS: time.Hour.Milliseconds()}
	require.NoError(t, worker.get(t.Context(), j))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = worker.run(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Error(t, worker.cmd.Wait(), "it was killed")
}

func TestFailureOfAContestantIsReported(t *testing.T) {
	t.Parallel()
	c := newContest(t).only(ours)
	c.contestants[0].name = "nobody"
	r := newRow(bench.Serial, bench.Cancel, 0, length{rounds: 1, window: time.Second})
	all, err := c.run(t.Context(), r)
	require.NoError(t, err)
	assert.Contains(t, all[0].Failed, "nobody")
	assert.Contains(t, all[0].line(), "failed")
	assert.Nil(t, table(all).at(r.name, "nobody"))
}
