package peers_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/bench/peers"
	"github.com/go-rlock/rlock/internal/redistest"
)

// The lock of this library can leave somebody waiting for good, which is why it gets a
// time limit in the comparison.
const hangs = "rueidislock"

func TestContendersExclude(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, contender := range peers.Contenders() {
		t.Run(contender.Name, func(t *testing.T) {
			t.Parallel()
			const clients, goroutines, rounds = 2, 2, 5
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var (
				wg     sync.WaitGroup
				inside atomic.Int32
				turns  atomic.Int32
			)
			for range clients {
				client, err := contender.Open(server.Addr())
				require.NoError(t, err)
				defer func() { assert.NoError(t, client.Close()) }()
				for range goroutines {
					mutex := client.Mutex("bench:" + contender.Name)
					wg.Go(func() {
						for range rounds {
							held, err := mutex.Lock(ctx)
							if contender.Name == hangs && ctx.Err() != nil {
								return // what was done until then has to be right all the same
							}
							if !assert.NoError(t, err) {
								return
							}
							assert.EqualValues(t, 1, inside.Add(1), "two are inside")
							turns.Add(1)
							inside.Add(-1)
							if !assert.NoError(t, held.Unlock(ctx)) {
								return
							}
						}
					})
				}
			}
			wg.Wait()
			assert.True(t, turns.Load() == clients*goroutines*rounds || ctx.Err() != nil)
			assert.Positive(t, turns.Load())
		})
	}
}
