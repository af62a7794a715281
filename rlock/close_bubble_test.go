package rlock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// The bubble ends only when no goroutine of the client is left, which all tests here
// prove for its state when it was closed.

func TestCloseGivesLocksBackAndEndsTheirHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const locks = 100
		client := w.client(t)
		var holds []*rlock.Hold
		for i := range locks {
			lock := client.NewLock(fmt.Sprint("orders:", i))
			holds = append(holds, must(t)(lock.Lock(t.Context())))
			if i%2 == 0 {
				holds = append(holds, must(t)(lock.Lock(t.Context(), rlock.WithLease(time.Hour))))
			}
		}
		start := time.Now()
		require.NoError(t, client.Close())
		went(t, start, 0)
		for _, h := range holds {
			require.Equal(t, rlock.ClientClosed, reasonOf(h.Err()))
			require.Equal(t, rlock.ClientClosed, reasonOf(context.Cause(h.Context())))
			require.Equal(t, rlock.ClientClosed, reasonOf(h.Unlock(t.Context())))
			<-h.Done()
		}
		assert.Empty(t, w.server.Keys())
	})
}

func TestCloseWakesWaitersInOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client, other := w.client(t), w.lock(t, "orders")
		must(t)(client.NewLock("orders").Lock(t.Context()))
		got := later(func() attempt { return attempted(other.Lock(t.Context())) })
		time.Sleep(time.Second)
		start := time.Now()
		require.NoError(t, client.Close())
		must(t)(fields(await(t, got)))
		went(t, start, 0)
	})
}

func TestCloseEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lockTaken(t, w)
		client := w.client(t)
		waits := map[string]func() (*rlock.Hold, error){}
		for name, ctx := range contexts {
			waits["Lock"+name] = func() (*rlock.Hold, error) { return client.NewLock("orders").Lock(ctx(t)) }
			waits["TryLock"+name] = func() (*rlock.Hold, error) { return client.NewLock("orders").TryLock(ctx(t), time.Hour) }
			waits["Do"+name] = func() (*rlock.Hold, error) { return nil, client.NewLock("orders").Do(ctx(t), nil) }
		}
		results := make(chan error, len(waits))
		for _, wait := range waits {
			go func() {
				_, err := wait()
				results <- err
			}()
		}
		synctest.Wait()
		start := time.Now()
		require.NoError(t, client.Close())
		for range waits {
			err := await(t, results)
			require.ErrorIs(t, err, rlock.ErrClosed)
			require.NotErrorIs(t, err, rlock.ErrNotAcquired)
		}
		went(t, start, 0)
	})
}

func TestClosedClientAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		lock := client.NewLock("orders")
		require.NoError(t, client.Close())
		w.forget()
		for name, operation := range operations {
			assert.ErrorIs(t, operation(t.Context(), lock), rlock.ErrClosed, name)
			assert.ErrorIs(t, operation(t.Context(), client.NewLock("parcels")), rlock.ErrClosed, name)
		}
		assert.Empty(t, w.commands())
	})
}

func TestHoldsThatHaveEndedStayAsTheyWereWhenTheClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		unlocked := must(t)(client.NewLock("orders").Lock(t.Context()))
		expired := must(t)(client.NewLock("parcels").Lock(t.Context(), rlock.WithLease(time.Second)))
		require.NoError(t, unlocked.Unlock(t.Context()))
		<-expired.Done()
		require.NoError(t, client.Close())
		require.NoError(t, unlocked.Err())
		require.NoError(t, unlocked.Unlock(t.Context()))
		require.Equal(t, rlock.Expired, reasonOf(expired.Err()))
		require.Equal(t, rlock.Expired, reasonOf(expired.Unlock(t.Context())))
	})
}

func TestCloseIsBoundedAndTellsWhatItCouldNotGiveBack(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				client, err := rlock.New(w.connect(w.dialler), settings()...)
				require.NoError(t, err)
				hold := must(t)(client.NewLock("orders").Lock(t.Context()))
				got := later(func() attempt { return attempted(client.NewLock("orders").Lock(stranger(t))) })
				time.Sleep(time.Second)
				fault(w)
				start := time.Now()
				err = client.Close()
				assert.LessOrEqual(t, time.Since(start), 4*time.Second)
				require.Error(t, err)
				assert.Regexp(t, "g(ive|iven) back", err.Error())
				assert.Equal(t, rlock.ClientClosed, reasonOf(hold.Err()))
				require.ErrorIs(t, await(t, got).err, rlock.ErrClosed)
				again := client.Close()
				assert.Equal(t, err, again)
			})
		})
	}
}

func TestCloseByManyReturnsTheSameToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client, err := rlock.New(w.connect(w.dialler), settings()...)
		require.NoError(t, err)
		must(t)(client.NewLock("orders").Lock(t.Context()))
		w.hush()
		const closers = 10
		start := time.Now()
		var ended []time.Duration
		results := make(chan error, closers)
		for range closers {
			go func() { results <- client.Close() }()
		}
		first := await(t, results)
		for range closers - 1 {
			require.Equal(t, first, await(t, results))
			ended = append(ended, time.Since(start))
		}
		for _, e := range ended {
			assert.Equal(t, ended[0], e, "all return when the client is closed")
		}
		require.Error(t, first)
	})
}

func TestCloseDuringAnAttemptLeavesNothingBehind(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				client := w.client(t)
				w.hush()
				got := later(func() attempt { return attempted(client.NewLock("orders").Lock(ctx(t))) })
				synctest.Wait()
				time.AfterFunc(time.Second, w.repair)
				closed := later(client.Close)
				result := await(t, got)
				require.ErrorIs(t, result.err, rlock.ErrClosed)
				require.NoError(t, await(t, closed))
				synctest.Wait()
				assert.False(t, w.server.Exists("orders"))
			})
		})
	}
}

func TestCloseDuringWorkEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		done := later(func() error {
			return client.NewLock("orders").Do(t.Context(), func(ctx context.Context) error {
				<-ctx.Done()
				return errors.Join(ctx.Err(), context.Cause(ctx))
			})
		})
		time.Sleep(time.Minute)
		require.NoError(t, client.Close())
		err := <-done
		require.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, rlock.ClientClosed, reasonOf(err))
	})
}

func TestClientWithoutUseNeedsNoClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		before := w.server.CommandCount()
		client, err := rlock.New(w.connect(w.dialler), settings()...) // the bubble ends nevertheless
		require.NoError(t, err)
		client.NewLock("orders")
		assert.Equal(t, len(w.commands("HELLO", "CLIENT", "PING")), w.server.CommandCount()-before, "only what the Redis client sends")
	})
}

// The outcome of a Lock stayed unknown, and the undoing of it waits for its next try when the
// client is closed. The server is back by then.
func TestCloseTriesAnUndoOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.clientOver(t, w.connect(w.dialler, oneConnection))
		lock, ctx := client.NewLock("orders"), stranger(t)
		hold := must(t)(lock.Lock(ctx))
		info, err := lock.Inspect(ctx)
		require.NoError(t, err)
		require.NoError(t, hold.Unlock(ctx))

		w.hush()
		got := later(func() attempt { return attempted(lock.Lock(ctx)) })
		synctest.Wait()
		w.disconnect()
		require.ErrorIs(t, await(t, got).err, rlock.ErrUnavailable)
		time.Sleep(2 * time.Second)
		w.server.HSet("orders", info.Owner, "1") // as the script does
		w.server.SetTTL("orders", 28*time.Second)
		w.repair()
		synctest.Wait() // the script runs indeed, which nobody waits for any more
		require.NoError(t, client.Close())
		assert.False(t, w.server.Exists("orders"))
	})
}
