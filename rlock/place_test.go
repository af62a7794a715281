package rlock_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// A lateClient is a Redis client that keeps back the replies to commands whose context has a
// channel, until that is closed.
type lateClient struct{ rueidis.Client }

type lateKey struct{}

func (c lateClient) Do(ctx context.Context, command rueidis.Completed) rueidis.RedisResult {
	reply := c.Client.Do(ctx, command)
	if closed, ok := ctx.Value(lateKey{}).(chan struct{}); ok {
		<-closed
	}
	return reply
}

// Whoever waits while somebody of its process has the lock needs no place in the queue of
// processes. It has one as soon as the process knows that it has not.
func TestWaiterIsServedInItsTurnThoughAReleaseOfItsProcessIsAnsweredLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		here := w.clientOver(t, lateClient{w.connect(w.dialler)}, on).NewLock("orders")
		there, elsewhere := w.lock(t, "orders", on), w.lock(t, "orders", on)
		require.NoError(t, must(t)(here.Lock(stranger(t))).Unlock(t.Context())) // so that the server knows the scripts
		mine := must(t)(here.Lock(stranger(t)))
		answered := make(chan struct{})
		releasing := later(func() error {
			return mine.Unlock(context.WithValue(stranger(t), lateKey{}, answered))
		})
		synctest.Wait()
		theirs := must(t)(there.Lock(stranger(t)))
		order := make(chan string, 2)
		enlist(stranger(t), t, here, order, "here")
		close(answered)
		require.NoError(t, await(t, releasing))
		synctest.Wait()
		enlist(stranger(t), t, elsewhere, order, "elsewhere")

		require.NoError(t, theirs.Unlock(t.Context()))
		require.Equal(t, "here", <-order)
		require.Equal(t, "elsewhere", <-order)
	})
}
