package rlock_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// The one in front gives up at a random moment while the message that wakes it is
// under way: it may have been woken already, or have tried already.
func TestWakeUpOfAWaiterThatGivesUpIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		for range 500 {
			synctest.Wait() // for what the last one who gave up has left behind
			w.server.HSet("orders", somebody, "1")
			w.server.SetTTL("orders", time.Minute)
			ctx, cancel := context.WithCancel(stranger(t))
			gaveUp := later(func() attempt { return attempted(lock.Lock(ctx)) })
			synctest.Wait()
			got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
			synctest.Wait()

			start := time.Now()
			w.server.Del("orders")
			w.server.Publish(channelName("orders"), "0")
			for range rand.N(40) {
				runtime.Gosched()
			}
			cancel()
			if first := await(t, gaveUp); first.hold != nil {
				require.NoError(t, first.hold.Unlock(t.Context()))
			} else {
				require.ErrorIs(t, first.err, context.Canceled)
			}
			hold := must(t)(fields(await(t, got)))
			went(t, start, 0)
			require.NoError(t, hold.Unlock(t.Context()))
		}
	})
}

// The wait ends, and the lock is released, at the same instant.
func TestReleaseAtTheEndOfAWaitIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		theirs, ours := w.lock(t, "orders"), w.lock(t, "orders")
		for range 100 {
			holder := must(t)(theirs.Lock(t.Context(), rlock.WithLease(time.Minute)))
			start := time.Now()
			gaveUp := later(func() attempt { return attempted(ours.TryLock(stranger(t), time.Second)) })
			synctest.Wait()
			got := later(func() attempt { return attempted(ours.Lock(t.Context())) })
			synctest.Wait()
			time.Sleep(time.Second)
			require.NoError(t, holder.Unlock(t.Context()))
			if first := await(t, gaveUp); first.hold != nil {
				require.NoError(t, first.hold.Unlock(t.Context()))
			} else {
				require.ErrorIs(t, first.err, rlock.ErrNotAcquired)
			}
			hold := must(t)(fields(await(t, got)))
			went(t, start, time.Second)
			require.NoError(t, hold.Unlock(t.Context()))
		}
	})
}

func TestReleaseAtAnyMomentOfAnAttemptIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		theirs := w.lock(t, "orders")
		for range 100 {
			ours := w.client(t).NewLock("orders") // subscribes anew
			holder := must(t)(theirs.Lock(t.Context(), rlock.WithLease(time.Minute)))
			start := time.Now()
			released := later(func() error { return holder.Unlock(t.Context()) })
			hold := must(t)(ours.Lock(t.Context()))
			require.NoError(t, await(t, released))
			went(t, start, 0)
			require.NoError(t, hold.Unlock(t.Context()))
		}
	})
}

// The channel is subscribed already, because somebody waited a moment ago, and the
// message comes at a random moment of the attempt that finds the lock taken.
func TestReleaseAtAnyMomentOfAnAttemptOfALaterWaiterIsNotMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		for range 500 {
			w.server.HSet("orders", somebody, "1")
			w.server.SetTTL("orders", time.Minute)
			start := time.Now()
			asked := w.begins("PTTL") // of the script that acquires
			got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
			<-asked
			for range rand.N(20) {
				runtime.Gosched()
			}
			w.server.Del("orders")
			w.server.Publish(channelName("orders"), "0")
			hold := must(t)(fields(await(t, got)))
			went(t, start, 0)
			require.NoError(t, hold.Unlock(t.Context()))
			synctest.Wait()
		}
	})
}

func TestSubscriptionEndsAWhileAfterTheLastWaiterLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		holder := lockTaken(t, w)
		lock := w.lock(t, "orders")
		require.Zero(t, w.listeners("orders"), "nobody waits")
		_, err := lock.TryLock(t.Context(), time.Second)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		assert.Equal(t, 1, w.listeners("orders"))
		time.Sleep(5 * time.Second)
		assert.Zero(t, w.listeners("orders"))

		got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
		time.Sleep(10 * time.Minute)
		assert.Equal(t, 1, w.listeners("orders"), "somebody waits")
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
		time.Sleep(5 * time.Second)
		assert.Zero(t, w.listeners("orders"), "a holder is no waiter")
	})
}

func TestWaitsInSuccessionShareASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lockTaken(t, w)
		lock := w.lock(t, "orders")
		var first []command
		for range 100 {
			_, err := lock.TryLock(t.Context(), 100*time.Millisecond)
			require.ErrorIs(t, err, rlock.ErrNotAcquired)
			time.Sleep(100 * time.Millisecond)
			if first == nil {
				first = w.commands("SUBSCRIBE")
			}
		}
		assert.NotEmpty(t, first)
		assert.Len(t, w.commands("SUBSCRIBE"), len(first))
		assert.Empty(t, w.commands("UNSUBSCRIBE"))
		time.Sleep(5 * time.Second)
		assert.Zero(t, w.listeners("orders"))
	})
}

func TestIdleClientKeepsNoConnectionForMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.clientOver(t, w.connect(oneConnection)).NewLock("orders")
		before := w.server.CurrentConnectionCount()
		for range 2 {
			for range 3 { // in succession
				hold := must(t)(lock.Lock(t.Context()))
				synctest.Wait()
				require.Equal(t, before+1, w.server.CurrentConnectionCount(), "held")
				require.NoError(t, hold.Unlock(t.Context()))
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			assert.Equal(t, before, w.server.CurrentConnectionCount(), "not held")
		}
	})
}

func TestIdleClientRunsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		for range 2 {
			hold := must(t)(lock.Lock(t.Context()))
			_, err := lock.TryLock(stranger(t), 100*time.Millisecond)
			require.ErrorIs(t, err, rlock.ErrNotAcquired)
			w.hush() // a script that takes longer than goroutines are kept
			time.AfterFunc(4*time.Second, w.repair)
			require.NoError(t, hold.Unlock(t.Context()))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			assert.Empty(t, goroutines())
		}
	})
}

// goroutines returns the stacks of those that run for the library.
func goroutines() []string {
	all := make([]byte, 1<<20)
	all = all[:runtime.Stack(all, true)]
	var ours []string
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		for _, name := range []string{"rlock", "pubsub", "watchdog"} {
			if strings.Contains(stack, "go-rlock/rlock/"+name+".") {
				ours = append(ours, stack)
			}
		}
	}
	return ours
}

func TestWaitingCostsNoCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const waiters = 1000
		holder := must(t)(w.clientOver(t, w.connect(oneConnection)).NewLock("orders").Lock(t.Context()))
		client := w.clientOver(t, w.connect(oneConnection))
		results := make(chan attempt, waiters)
		for range waiters {
			go func() {
				hold, err := client.NewLock("orders").Lock(t.Context())
				if err == nil {
					err = hold.Unlock(t.Context())
				}
				results <- attempted(hold, err)
			}()
		}
		synctest.Wait()
		connections := w.server.CurrentConnectionCount()
		w.forget()
		start := time.Now()
		time.Sleep(10 * time.Second)
		assert.LessOrEqual(t, len(w.commands()), 3, "%v", w.commands())
		assert.Equal(t, connections, w.server.CurrentConnectionCount())

		w.forget()
		require.NoError(t, holder.Unlock(t.Context()))
		for range waiters {
			must(t)(fields(await(t, results)))
		}
		went(t, start, 10*time.Second)
		assert.LessOrEqual(t, len(w.commands("EVALSHA")), 2*waiters+10, "an acquisition and a release each")
	})
}

func TestManyContendedNamesShareOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const names = 300
		theirs, ours := w.client(t), w.client(t)
		name := func(i int) string { return fmt.Sprint("orders:", i) }
		var holds []*rlock.Hold
		results := make(chan attempt, names)
		for i := range names {
			holds = append(holds, must(t)(theirs.NewLock(name(i)).Lock(t.Context())))
		}
		for i := range names {
			go func() { results <- attempted(ours.NewLock(name(i)).Lock(t.Context())) }()
		}
		synctest.Wait()
		conns := make(map[any]bool)
		for _, c := range w.commands("SUBSCRIBE") {
			conns[c.conn] = true
		}
		assert.Len(t, conns, 1)
		for i := range names {
			require.Equal(t, 1, w.listeners(name(i)))
			require.NoError(t, holds[i].Unlock(t.Context()))
		}
		for range names {
			must(t)(fields(await(t, results)))
		}
	})
}
