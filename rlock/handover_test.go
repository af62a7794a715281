package rlock_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

var (
	on  = rlock.WithHandover(true)
	off = rlock.WithHandover(false)
)

// enlist makes a goroutine wait for the lock, which reports its mark when it has it, and
// gives it back. It returns when the goroutine waits.
func enlist[T any](ctx context.Context, tb testing.TB, lock *rlock.Lock, order chan<- T, mark T) {
	tb.Helper()
	var done sync.WaitGroup
	tb.Cleanup(done.Wait)
	done.Go(func() {
		h, err := lock.Lock(ctx)
		if err != nil {
			assert.ErrorIs(tb, err, context.Canceled)
			return
		}
		order <- mark
		assert.NoError(tb, h.Unlock(ctx))
	})
	synctest.Wait()
}

func TestLocalWaitersAreServedInTheOrderInWhichTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders", on)
		hold := must(t)(lock.Lock(t.Context()))
		const n = 1000
		order := make(chan int, n)
		for i := range n {
			enlist(t.Context(), t, lock, order, i)
		}
		w.forget()
		time.Sleep(5 * time.Second)
		require.Empty(t, w.commands(), "while nothing changes")
		require.NoError(t, hold.Unlock(t.Context()))
		for i := range n {
			require.Equal(t, i, <-order)
		}
		require.LessOrEqual(t, float64(len(w.commands(append(scripted, "EVALSHA")...)))/n, 5.5, "commands per hand-over, those inside scripts included")
	})
}

func TestProcessesAreServedInTheOrderInWhichTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders", on).Lock(t.Context()))
		const n = 20
		order := make(chan int, n)
		for i := range n {
			enlist(t.Context(), t, w.lock(t, "orders", on), order, i)
		}
		began := time.Now()
		require.NoError(t, hold.Unlock(t.Context()))
		for i := range n {
			require.Equal(t, i, <-order)
		}
		went(t, began, 0)
	})
}

func TestWaiterThatLeavesDoesNotDisturbTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders", on).Lock(t.Context()))
		order := make(chan int, 3)
		ctx, leave := context.WithCancel(t.Context())
		enlist(ctx, t, w.lock(t, "orders", on), order, 0)
		enlist(t.Context(), t, w.lock(t, "orders", on), order, 1)
		enlist(t.Context(), t, w.lock(t, "orders", on), order, 2)
		leave()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, hold.Unlock(t.Context()))
		require.Equal(t, 1, <-order)
		require.Equal(t, 2, <-order)
		went(t, began, 0)
	})
}

func TestGrantIsConfirmedAfterASecond(t *testing.T) {
	for name, options := range map[string][]rlock.LockOption{"Watched": nil, "Fixed": {rlock.WithLease(10 * time.Second)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				hold := must(t)(w.lock(t, "orders", on).Lock(t.Context()))
				lock := w.lock(t, "orders", on)
				got := later(func() attempt { return attempted(lock.Lock(t.Context(), options...)) })
				synctest.Wait()
				require.NoError(t, hold.Unlock(t.Context()))
				granted := must(t)(fields(await(t, got)))
				require.Equal(t, 3*time.Second, w.ttl("orders"))
				time.Sleep(time.Second + time.Millisecond)
				require.Greater(t, w.ttl("orders"), 8*time.Second)
				time.Sleep(5 * time.Second)
				require.NoError(t, granted.Err())
				require.NoError(t, granted.Unlock(t.Context()))
			})
		})
	}
}

func TestProcessPassesTheLockOnInsideForItsLocalTurnsOnly(t *testing.T) {
	for name, is := range map[string]struct {
		options []rlock.Option
		turns   int
	}{"Default": {[]rlock.Option{on}, 8}, "Three": {[]rlock.Option{on, rlock.WithTurns(3, 7)}, 3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders", is.options...)
				hold := must(t)(lock.Lock(t.Context()))
				const neighbours = 20
				order := make(chan string, neighbours+1)
				for range neighbours {
					enlist(t.Context(), t, lock, order, "neighbour")
				}
				enlist(t.Context(), t, w.lock(t, "orders", on), order, "other process")
				require.NoError(t, hold.Unlock(t.Context()))
				for range is.turns {
					require.Equal(t, "neighbour", <-order)
				}
				require.Equal(t, "other process", <-order)
			})
		})
	}
}

// A stranger is somebody who does not know about tickets, such as Redisson.
func TestStrangersGetTheirTurn(t *testing.T) {
	for name, friends := range map[string]int{"OneProcess": 1, "ManyProcesses": 10} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				const turns = 5
				options := []rlock.Option{on, rlock.WithTurns(8, turns)}
				var locks []*rlock.Lock
				for range friends {
					locks = append(locks, w.lock(t, "orders", options...))
				}
				hold := must(t)(locks[0].Lock(t.Context()))
				order := make(chan string, 100)
				enlist(t.Context(), t, w.lock(t, "orders", off), order, "stranger")
				for i := range 30 {
					enlist(t.Context(), t, locks[i%friends], order, "friend")
				}
				require.NoError(t, hold.Unlock(t.Context()))
				for turn := 0; <-order != "stranger"; turn++ {
					require.LessOrEqual(t, turn, turns, "one more where the answer of a try overtakes a grant")
				}
			})
		})
	}
}
