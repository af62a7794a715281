package rlock_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

func TestCloseEndsHoldsAndWaits(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	busy, nested := client.NewLock(uniqueName(t)), client.NewLock(uniqueName(t))
	occupy(t, server, busy.Name(), time.Hour)
	ctx := ownerContext(t)
	var holds []*rlock.Hold
	for _, options := range [][]rlock.LockOption{nil, {rlock.WithLease(time.Hour)}, {rlock.WithMaxHold(time.Hour)}} {
		hold, err := nested.Lock(ctx, options...)
		require.NoError(t, err)
		holds = append(holds, hold)
	}
	var waiting []<-chan call
	for kind, acquire := range longWaits {
		for range 4 {
			waiting = append(waiting, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
				return acquire(ctx, busy)
			}))
		}
		_ = kind
	}
	awaitListener(t, server, busy.Name())

	require.NoError(t, client.Close())
	for _, w := range waiting {
		require.ErrorIs(t, result(t, w, soon).err, rlock.ErrClosed)
	}
	for _, hold := range holds {
		awaitClosed(t, hold.Done(), soon, "the hold ends")
		requireLost(t, hold, rlock.ClientClosed)
		require.ErrorIs(t, hold.Unlock(ctx), rlock.ErrLost)
	}
	requireFree(t, server, nested.Name())
	require.Equal(t, map[string]string{foreign: "1"}, holders(t, server, busy.Name()), "somebody else's lock was given back")
}

func TestClosedClientRefusesEverything(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	lock := client.NewLock(uniqueName(t))
	require.NoError(t, client.Close())
	for kind, operation := range map[string]func(ctx context.Context) error{
		"Lock":        func(ctx context.Context) error { _, err := lock.Lock(ctx); return err },
		"TryLock":     func(ctx context.Context) error { _, err := lock.TryLock(ctx, time.Hour); return err },
		"NoWait":      func(ctx context.Context) error { _, err := lock.TryLock(ctx, 0); return err },
		"Unlock":      lock.Unlock,
		"Do":          func(ctx context.Context) error { return lock.Do(ctx, func(context.Context) error { return nil }) },
		"Inspect":     func(ctx context.Context) error { _, err := lock.Inspect(ctx); return err },
		"IsLocked":    func(ctx context.Context) error { _, err := lock.IsLocked(ctx); return err },
		"IsHeld":      func(ctx context.Context) error { _, err := lock.IsHeld(ctx); return err },
		"HoldCount":   func(ctx context.Context) error { _, err := lock.HoldCount(ctx); return err },
		"TTL":         func(ctx context.Context) error { _, err := lock.TTL(ctx); return err },
		"ForceUnlock": func(ctx context.Context) error { _, err := lock.ForceUnlock(ctx); return err },
	} {
		for _, ctx := range []context.Context{t.Context(), context.Background()} {
			require.ErrorIs(t, operation(ctx), rlock.ErrClosed, kind)
		}
	}
	requireFree(t, server, lock.Name())
}

// A lock that Close gives back wakes a waiter of another client.
func TestCloseWakesOtherClients(t *testing.T) {
	t.Parallel()
	first, second := newClient(t, server.Client(t)), newClient(t, server.Client(t))
	name := uniqueName(t)
	_, err := first.NewLock(name).Lock(ownerContext(t))
	require.NoError(t, err)
	waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return second.NewLock(name).Lock(ctx)
	})
	awaitListener(t, server, name)
	require.NoError(t, first.Close())
	got := result(t, waiting, soon)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(t.Context()))
}

func TestCloseIsIdempotentAndConcurrent(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	const locks = 200
	prefix := uniqueName(t)
	for i := range locks {
		_, err := client.NewLock(prefix + ":" + strconv.Itoa(i)).Lock(ownerContext(t))
		require.NoError(t, err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			assert.NoError(t, client.Close())
			// Whoever called, everything is given back when Close returns.
			keys, err := server.Call(context.Background(), "KEYS", prefix+"*")
			assert.NoError(t, err)
			assert.Empty(t, keys)
		})
	}
	wg.Wait()
	require.NoError(t, client.Close())
}

func TestCloseOfManyClientsInTheMiddleOfTheirWork(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	const clients, goroutines = 30, 8
	documented := func(err error) bool {
		return err == nil || errors.Is(err, rlock.ErrClosed) || errors.Is(err, rlock.ErrLost) ||
			errors.Is(err, rlock.ErrNotAcquired) || errors.Is(err, context.DeadlineExceeded)
	}
	for range clients {
		client, err := rlock.New(rdb, settings(patient)...)
		require.NoError(t, err)
		var working, done sync.WaitGroup
		for i := range goroutines {
			working.Add(1)
			done.Go(func() {
				ready := sync.OnceFunc(working.Done)
				defer ready()
				background := rlock.WithOwner(context.Background(), rlock.NewOwner())
				for {
					ctx, cancel := background, context.CancelFunc(func() {})
					if i%2 == 0 {
						ctx, cancel = context.WithTimeout(background, time.Minute)
					}
					lock := client.NewLock("hammer:" + strconv.Itoa(i%4))
					hold, err := lock.Lock(ctx)
					if err == nil {
						inner, err2 := lock.TryLock(ctx, 0)
						if err2 == nil {
							err2 = inner.Unlock(ctx)
						}
						err = errors.Join(err2, hold.Unlock(ctx))
						assert.True(t, documented(err2) && documented(err), "%v", err)
					}
					cancel()
					ready()
					if err != nil {
						assert.True(t, errors.Is(err, rlock.ErrClosed) || errors.Is(err, rlock.ErrLost), "%v", err)
						return
					}
				}
			})
		}
		working.Wait()
		for range 2 {
			done.Go(func() { assert.NoError(t, client.Close()) })
		}
		done.Wait()
		require.Empty(t, s.Do(t, "KEYS", "*"), "locks were left behind")
	}
}

// Scripts that are under way when Close begins are awaited, also when they run in the
// goroutine of a caller whose context cannot end. The Redis client may be closed after that.
func TestCloseUndoesAnAcquisitionUnderWay(t *testing.T) {
	t.Parallel()
	for kind, ctx := range map[string]context.Context{
		"ContextThatCanEnd":    t.Context(),
		"ContextThatCannotEnd": context.Background(),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			proxy := s.Proxy(t)
			rdb := s.Client(t, proxy.Use, oneConnection, unpinged)
			client := newClient(t, rdb)
			lock := client.NewLock(uniqueName(t))
			s.Pause(t)
			sent := passing(proxy, lock.Name())
			acquiring := inBackground(ctx, func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
			// The request waits in the server's socket, then Close begins, then it runs.
			awaitClosed(t, sent, soon, "the request is sent")
			closed := make(chan error, 1)
			go func() { closed <- client.Close() }()
			until(t, soon, "the client is closing", func() bool {
				return errors.Is(lock.Unlock(ownerContext(t)), rlock.ErrClosed)
			})
			s.Resume(t)

			require.NoError(t, <-closed)
			rdb.Close()
			require.ErrorIs(t, result(t, acquiring, soon).err, rlock.ErrClosed)
			requireFree(t, s, lock.Name())
		})
	}
}

func TestCloseIsBoundedWhenTheServerIsSilent(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t, func(option *rueidis.ClientOption) { option.ConnWriteTimeout = time.Minute }))
	prefix := uniqueName(t)
	var holds []*rlock.Hold
	for i := range 100 {
		hold, err := client.NewLock(prefix + ":" + strconv.Itoa(i)).Lock(ownerContext(t))
		require.NoError(t, err)
		holds = append(holds, hold)
	}
	waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return client.NewLock(holds[0].Name()).Lock(ctx)
	})
	awaitListener(t, s, holds[0].Name())
	s.Pause(t)

	began := time.Now()
	err := client.Close()
	assert.Less(t, time.Since(began), 20*time.Second)
	requireFault(t, err)
	require.ErrorIs(t, result(t, waiting, soon).err, rlock.ErrClosed)
	for _, hold := range holds {
		requireLost(t, hold, rlock.ClientClosed)
	}
	require.Equal(t, err, client.Close(), "the second call tells the same")
	s.Resume(t)
}

func TestCloseIsBoundedWhenTheServerIsDown(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t))
	hold, err := client.NewLock(uniqueName(t)).Lock(t.Context())
	require.NoError(t, err)
	s.Kill()
	began := time.Now()
	requireFault(t, client.Close())
	assert.Less(t, time.Since(began), 8*time.Second)
	requireLost(t, hold, rlock.ClientClosed)
}
