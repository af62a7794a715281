package rlock_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// The place in the queue is left by the first, who goes; those behind it never try.
func TestWaitersThatLeaveTogetherLeaveNoTicket(t *testing.T) {
	for name, wait := range map[string]func(ctx context.Context, t *testing.T, lock *rlock.Lock){
		"AtTheEndOfTheWait": func(ctx context.Context, t *testing.T, lock *rlock.Lock) {
			t.Helper()
			_, err := lock.TryLock(ctx, 100*time.Millisecond)
			assert.ErrorIs(t, err, rlock.ErrNotAcquired)
		},
		"AtTheEndOfTheContext": func(ctx context.Context, t *testing.T, lock *rlock.Lock) {
			t.Helper()
			ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			_, err := lock.Lock(ctx)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					hold := must(t)(w.lock(t, "orders", on).Lock(t.Context()))
					lock := w.lock(t, "orders", on)
					var waiting sync.WaitGroup
					for range 3 {
						ctx := stranger(t)
						waiting.Go(func() { wait(ctx, t, lock) })
					}
					waiting.Wait()
					synctest.Wait()
					assert.False(t, w.server.Exists("rlock_queue:{orders}"), "tickets were left behind")
					require.NoError(t, hold.Unlock(t.Context()))
				})
			}
		})
	}
}

// The attempt that leaves a ticket is under way when Close takes tickets back, on another
// connection.
func TestCloseTakesATicketBackThatIsBeingLeft(t *testing.T) {
	for name, ctx := range map[string]func(testing.TB) context.Context{"ContextThatCanEnd": stranger, "ContextThatCannotEnd": endless} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				hold := must(t)(w.lock(t, "orders", on).Lock(t.Context()))
				client := w.clientOver(t, w.connect(w.dialler, unpipelined), on)
				lock := client.NewLock("orders")
				_, err := lock.TryLock(stranger(t), time.Millisecond) // so that the next one leaves a ticket at once
				require.ErrorIs(t, err, rlock.ErrNotAcquired)
				synctest.Wait()

				begun := w.begins("EVALSHA")
				w.hush()
				waiting := later(func() attempt { return attempted(lock.Lock(ctx(t))) })
				<-begun
				answer := w.relent(t)
				closing := later(client.Close)
				synctest.Wait()
				answer()
				require.NoError(t, await(t, closing))
				require.ErrorIs(t, await(t, waiting).err, rlock.ErrClosed)
				synctest.Wait()
				assert.False(t, w.server.Exists("rlock_queue:{orders}"), "a ticket was left behind")
				require.NoError(t, hold.Unlock(t.Context()))
			})
		})
	}
}

// A gatedContext is that of a goroutine which does not get on while the gate is there.
type gatedContext struct {
	context.Context

	gate *atomic.Pointer[chan struct{}]
}

func (c gatedContext) Err() error {
	if gate := c.gate.Load(); gate != nil {
		<-*gate
	}
	return c.Context.Err()
}

// The message that the lock was granted has arrived when the client is closed, and the waiter
// has not looked yet.
func TestCloseGivesBackWhatWasGrantedToAWaiterThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t, on)
		hold := must(t)(w.lock(t, "orders", on).Lock(t.Context()))
		ctx := gatedContext{stranger(t), new(atomic.Pointer[chan struct{}])}
		waiting := later(func() attempt { return attempted(client.NewLock("orders").Lock(ctx)) })
		synctest.Wait()
		gate := make(chan struct{})
		ctx.gate.Store(&gate)
		require.NoError(t, hold.Unlock(t.Context()))
		synctest.Wait()
		closing := later(client.Close)
		synctest.Wait()
		close(gate)
		require.NoError(t, await(t, closing))
		require.ErrorIs(t, await(t, waiting).err, rlock.ErrClosed)
		synctest.Wait()
		assert.False(t, w.server.Exists("orders"), "the lock was left behind")
	})
}

// An owner waits in two goroutines, for which its process has a place in the queue, and gets
// the lock in a third one, so that the others have it too.
func TestOwnerThatGotTheLockElsewhereIsNotServedWhenItGivesItBack(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			client := w.client(t, on)
			lock, ctx := client.NewLock("orders"), stranger(t)
			must(t)(w.lock(t, "orders", on).Lock(t.Context()))
			var holders sync.WaitGroup
			for range 2 {
				holders.Go(func() {
					h, err := lock.Lock(ctx)
					if assert.NoError(t, err) {
						assert.NoError(t, h.Unlock(ctx))
					}
				})
				synctest.Wait()
			}
			w.server.Del("orders")
			h := must(t)(lock.TryLock(ctx, 0))
			require.NoError(t, h.Unlock(ctx))
			holders.Wait()
			assert.False(t, w.server.Exists("orders"), "the owner has it again")
			synctest.Wait()
			assert.False(t, w.server.Exists("rlock_queue:{orders}"), "a ticket was left behind")
		})
	}
}

// The lock that the process got in another way is lost while nobody of it waits any more.
func TestTicketGoesWithALockThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t, on)
		lock, ctx := client.NewLock("orders"), stranger(t)
		must(t)(w.lock(t, "orders", on).Lock(t.Context()))
		waiting := later(func() attempt { return attempted(lock.Lock(ctx)) })
		synctest.Wait()
		w.server.Del("orders")
		hold := must(t)(lock.TryLock(ctx, 0))
		must(t)(fields(await(t, waiting)))
		w.server.Del("orders")
		<-hold.Done()
		synctest.Wait()
		assert.False(t, w.server.Exists("rlock_queue:{orders}"), "a ticket was left behind")
	})
}

// The lock is given back before its minimum is over: nobody is served.
func TestTicketGoesWithALockThatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders", on)
		must(t)(w.lock(t, "orders", on).Lock(t.Context()))
		ctx, leave := context.WithCancel(stranger(t))
		waiting := later(func() attempt { return attempted(lock.Lock(ctx)) })
		synctest.Wait()
		w.server.Del("orders")
		hold := must(t)(lock.TryLock(stranger(t), 0, rlock.WithMinHold(time.Minute)))
		leave()
		require.ErrorIs(t, await(t, waiting).err, context.Canceled)
		require.NoError(t, hold.Unlock(t.Context()))
		synctest.Wait()
		assert.False(t, w.server.Exists("rlock_queue:{orders}"), "a ticket was left behind")
	})
}
