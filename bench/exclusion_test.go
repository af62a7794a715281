package bench_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/bench"
)

func TestContendersExclude(t *testing.T) {
	t.Parallel()
	for _, contender := range bench.Contenders() {
		t.Run(contender.Name, func(t *testing.T) {
			t.Parallel()
			counted, overlaps := contest(t, contender)
			assert.Equal(t, turns, counted)
			assert.Zero(t, overlaps)
		})
	}
}

func TestExclusionIsSeenToFail(t *testing.T) {
	t.Parallel()
	counted, overlaps := contest(t, bench.Contender{
		Name: "nothing",
		Open: func(string) (bench.Client, error) { return nothing{}, nil },
	})
	assert.Less(t, counted, turns)
	assert.NotZero(t, overlaps)
}

const (
	contestants = 4  // of each of two clients
	rounds      = 12 // of each of them
	turns       = 2 * contestants * rounds
)

// contest lets several goroutines of two clients count under one lock, with a GET and
// a SET. It returns what they have counted to, and how often one found another inside.
func contest(t *testing.T, contender bench.Contender) (counted, overlaps int) {
	t.Helper()
	rdb := server.Client(t)
	counter := t.Name() + ":counter"
	require.NoError(t, rdb.Do(t.Context(), rdb.B().Set().Key(counter).Value("0").Build()).Error())
	var (
		wg     sync.WaitGroup
		inside atomic.Int32
		seen   atomic.Int64
	)
	for range 2 {
		client, err := contender.Open(server.Addr())
		require.NoError(t, err)
		defer func() { assert.NoError(t, client.Close()) }()
		for range contestants {
			mutex := client.Mutex(t.Name())
			wg.Go(func() {
				for range rounds {
					held, err := mutex.Lock(t.Context())
					if !assert.NoError(t, err) {
						return
					}
					if inside.Add(1) > 1 {
						seen.Add(1)
					}
					err = increment(t.Context(), rdb, counter)
					inside.Add(-1)
					if !assert.NoError(t, err) || !assert.NoError(t, held.Unlock(t.Context())) {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	n, err := rdb.Do(t.Context(), rdb.B().Get().Key(counter).Build()).AsInt64()
	require.NoError(t, err)
	return int(n), int(seen.Load())
}

func increment(ctx context.Context, rdb rueidis.Client, key string) error {
	n, err := rdb.Do(ctx, rdb.B().Get().Key(key).Build()).AsInt64()
	if err != nil {
		return fmt.Errorf("read the counter: %w", err)
	}
	return rdb.Do(ctx, rdb.B().Set().Key(key).Value(strconv.FormatInt(n+1, 10)).Build()).Error()
}

// nothing does not lock.
type nothing struct{}

func (nothing) Mutex(string) bench.Mutex                 { return nothing{} }
func (nothing) Lock(context.Context) (bench.Held, error) { return nothing{}, nil }
func (nothing) Unlock(context.Context) error             { return nil }
func (nothing) Close() error                             { return nil }
