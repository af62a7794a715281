package rlock_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A turningClient is a Redis client that turns to a new primary while a command is under way:
// what went to the old one is told that the client is closed, as rueidis does.
type turningClient struct {
	rueidis.Client

	old   rueidis.Client // closed
	turns *atomic.Bool   // with the next command
}

func (c turningClient) Do(ctx context.Context, command rueidis.Completed) rueidis.RedisResult {
	if c.turns.Swap(false) {
		return c.old.Do(ctx, command)
	}
	return c.Client.Do(ctx, command)
}

// What meets a failover goes on with the new primary, and neither a caller nor a waiter hears
// of a closed client.
func TestClientThatTurnsToANewPrimaryIsNotTakenForAClosedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		old := w.connect()
		old.Close()
		turns := new(atomic.Bool)
		lock := w.clientOver(t, turningClient{w.connect(w.dialler), old, turns}).NewLock("orders")
		waiter := stranger(t)

		turns.Store(true)
		hold := must(t)(lock.TryLock(t.Context(), 0))
		turns.Store(true)
		info, err := lock.Inspect(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, info.Holds)
		turns.Store(true)
		waiting := later(func() attempt { return attempted(lock.Lock(waiter)) })
		synctest.Wait()
		turns.Store(true)
		require.NoError(t, hold.Unlock(t.Context()))
		got := await(t, waiting)
		require.NoError(t, got.err)
		turns.Store(true)
		forced, err := lock.ForceUnlock(t.Context())
		require.NoError(t, err)
		assert.True(t, forced)
		assert.False(t, turns.Load())
	})
}
