package rlock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// The answer to a first try says that another owner of the same client has the lock. Before
// it arrives, that owner learns that the lock is gone, of which no message tells.
func TestLossDuringTheFirstTryOfAnotherOwnerWakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		late := delay{word: "12345"}
		client := w.clientOver(t, w.connect(w.dialler, unpipelined, wrapping(late.wrap)), off, rlock.WithWatchdogTimeout(600*time.Millisecond))
		lock := client.NewLock("orders")
		hold := must(t)(lock.Lock(stranger(t)))
		_, err := lock.TryLock(stranger(t), time.Millisecond) // from now on messages are heard
		require.ErrorIs(t, err, rlock.ErrNotAcquired)

		late.begin()
		next := later(func() attempt {
			return attempted(lock.Lock(stranger(t), rlock.WithLease(12345*time.Millisecond)))
		})
		synctest.Wait()
		w.server.Del("orders")
		<-hold.Done()
		require.Equal(t, rlock.Removed, reasonOf(hold.Err()))
		start := time.Now()
		late.end()

		got := await(t, next)
		require.NoError(t, got.err)
		assert.Equal(t, start, got.at)
		require.NoError(t, got.hold.Unlock(t.Context()))
	})
}

// The inner hold has a longer lease than the outer one, and is given back. Whoever waits
// elsewhere knows of the longer lease. Then the outer one ends, of which nothing tells.
func TestWaitersOfOtherProcessesLearnThatALeaseHasBecomeShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		here, there := w.lock(t, "orders", on), w.lock(t, "orders", on)
		start := time.Now()
		must(t)(here.Lock(t.Context(), rlock.WithLease(10*time.Second)))
		inner := must(t)(here.Lock(t.Context(), rlock.WithLease(time.Hour)))
		order := make(chan string, 2)
		enlist(stranger(t), t, there, order, "there")
		enlist(stranger(t), t, w.lock(t, "orders", on), order, "third")
		require.NoError(t, inner.Unlock(t.Context()))

		require.Equal(t, "there", await(t, order))
		assert.WithinDuration(t, start.Add(10*time.Second), time.Now(), 100*time.Millisecond)
		require.Equal(t, "third", await(t, order))
	})
}
