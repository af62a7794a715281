package rlock_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// A lateClient is a Redis client that keeps back replies: to commands whose context has a
// channel, until that is closed, and to scripts that pass a lock on, until its own is.
type lateClient struct {
	rueidis.Client

	passed chan struct{} // nil: they come at once
}

type lateKey struct{}

func (c lateClient) Do(ctx context.Context, command rueidis.Completed) rueidis.RedisResult {
	said := command.Commands()
	passes := len(said) > 6 && said[6] == "{orders}"
	reply := c.Client.Do(ctx, command)
	if closed, ok := ctx.Value(lateKey{}).(chan struct{}); ok {
		<-closed
	}
	if passes && c.passed != nil {
		<-c.passed
	}
	return reply
}

// Whoever waits while somebody of its process has the lock needs no place in the queue of
// processes. It has one as soon as the process knows that it has not.
func TestWaiterIsServedInItsTurnThoughAReleaseOfItsProcessIsAnsweredLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		here := w.clientOver(t, lateClient{Client: w.connect(w.dialler)}, on).NewLock("orders")
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

// Whoever is in front gets a place while the lock is passed on that one before it was granted
// who is gone. The script that passes it on takes that place out of the queue.
func TestWaiterIsServedInItsTurnThoughItsPlaceWasTakenOutOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var late delay
		answered, passed := make(chan struct{}), make(chan struct{})
		here := w.clientOver(t, lateClient{w.connect(w.dialler, wrapping(late.wrap)), passed}, on).NewLock("orders")
		there, elsewhere := w.lock(t, "orders", on), w.lock(t, "orders", on)
		first := must(t)(there.Lock(stranger(t)))
		order := make(chan string, 3)
		ctx, leave := context.WithCancel(stranger(t))
		enlist(ctx, t, here, order, "gone")
		enlist(context.WithValue(stranger(t), lateKey{}, answered), t, here, order, "here")
		second := later(func() attempt { return attempted(elsewhere.Lock(stranger(t))) })
		synctest.Wait()

		late.begin()
		require.NoError(t, first.Unlock(t.Context()))
		synctest.Wait()
		leave()
		synctest.Wait() // the next one has left a ticket
		late.end()
		theirs := must(t)(fields(await(t, second)))
		close(answered)
		synctest.Wait()
		close(passed)
		synctest.Wait()
		enlist(stranger(t), t, there, order, "there")
		require.NoError(t, theirs.Unlock(t.Context()))
		require.Equal(t, "here", <-order)
		require.Equal(t, "there", <-order)
	})
}
