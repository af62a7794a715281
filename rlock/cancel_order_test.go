package rlock_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

func TestUnlockReleasesWhateverItsContextSays(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	cancelled, cancel := context.WithCancel(ownerContext(t))
	cancel()
	late, cancelLate := context.WithDeadline(ownerContext(t), time.Now().Add(-time.Hour))
	defer cancelLate()
	for kind, ended := range map[string]context.Context{"Canceled": cancelled, "DeadlineExceeded": late} {
		t.Run(kind, func(t *testing.T) {
			lock := client.NewLock(uniqueName(t))
			ctx := context.WithoutCancel(ended) // of the same owner
			for _, unlock := range []func(*rlock.Hold) error{
				func(hold *rlock.Hold) error { return hold.Unlock(ended) },
				func(*rlock.Hold) error { return lock.Unlock(ended) },
			} {
				outer, err := lock.Lock(ctx)
				require.NoError(t, err)
				inner, err := lock.Lock(ctx)
				require.NoError(t, err)
				require.NoError(t, unlock(inner))
				n, err := lock.HoldCount(ctx)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.NoError(t, unlock(outer))
				requireFree(t, server, lock.Name())
			}
			_, err := lock.Lock(ended)
			require.ErrorIs(t, err, ended.Err())
			_, err = lock.TryLock(ended, 0)
			require.ErrorIs(t, err, ended.Err())
			requireFree(t, server, lock.Name())
		})
	}
}

func TestContextEndsAWait(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	for kind, acquire := range longWaits {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			lock := client.NewLock(uniqueName(t))
			occupy(t, server, lock.Name(), time.Hour)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var waiting []<-chan call
			for range 5 { // in front and behind
				waiting = append(waiting, inBackground(ctx, func(ctx context.Context) (*rlock.Hold, error) {
					return acquire(ctx, lock)
				}))
			}
			awaitListener(t, server, lock.Name())
			cancel(assert.AnError)
			for _, w := range waiting {
				err := result(t, w, soon).err
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorIs(t, err, assert.AnError, "the cause")
				require.NotErrorIs(t, err, rlock.ErrNotAcquired)
			}
			require.Equal(t, map[string]string{foreign: "1"}, holders(t, server, lock.Name()))
		})
	}
}

// The owner's next operation waits for what it abandoned before, under its own context,
// and is not undone with it.
func TestNextOperationOfAnOwnerWaitsForWhatItAbandoned(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t))
	lock, other := client.NewLock(uniqueName(t)), client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	s.Pause(t)
	abandon(ctx, t, lock)

	// Contexts of its own, and a patience of its own.
	abandon(ctx, t, lock)
	began := time.Now()
	_, err := lock.TryLock(ctx, 0)
	requireFault(t, err)
	assert.GreaterOrEqual(t, time.Since(began), time.Second, "the grace period")

	next := make(chan call, 1)
	go func() {
		hold, err := lock.Lock(ctx)
		next <- call{hold: hold, err: err}
	}()
	stillWaiting(t, next)
	s.Resume(t)
	got := result(t, next, soon)
	require.NoError(t, got.err)

	// Everything that was abandoned has been undone by now, and took nothing with it.
	takeAndRelease(t, client, other.Name())
	n, err := lock.HoldCount(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, got.hold.Unlock(ctx))
	require.NoError(t, client.Close())
	requireFree(t, s, lock.Name())
	require.GreaterOrEqual(t, s.CommandStats(t)["del"].Calls, int64(2), "nothing was undone")
}

// abandon starts to acquire the lock and leaves before the server answers.
func abandon(ctx context.Context, t *testing.T, lock *rlock.Lock) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := lock.Lock(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// The same with a server that is slow: the abandoned acquisition is granted while the
// next one has begun.
func TestOwnerKeepsTheLockThatItTookAfterAbandoningIt(t *testing.T) {
	t.Parallel()
	for pipeline, mutate := range pipelines {
		t.Run(pipeline, func(t *testing.T) {
			t.Parallel()
			proxy := server.Proxy(t)
			client := newClient(t, server.Client(t, mutate, proxy.Use))
			lock := client.NewLock(uniqueName(t))
			ctx := ownerContext(t)
			takeAndRelease(t, client, lock.Name())
			for range 2 {
				proxy.SetDelay(300 * time.Millisecond)
				abandon(ctx, t, lock)
				proxy.SetDelay(0)
				hold, err := lock.Lock(ctx)
				require.NoError(t, err)
				other, err := lock.Lock(ctx) // waits for its turn as any operation of the owner
				require.NoError(t, err)
				require.NoError(t, other.Unlock(ctx))
				require.NoError(t, hold.Err())
				require.NoError(t, hold.Unlock(ctx))
				requireFree(t, server, lock.Name())
			}
		})
	}
}

// A release that states how many holds remain is under way when another one of them is
// given back.
func TestConcurrentUnlocksOfOneOwnerReleaseTheLock(t *testing.T) {
	t.Parallel()
	proxy := server.Proxy(t)
	client := newClient(t, server.Client(t, proxy.Use, oneConnection))
	for kind, background := range map[string]context.Context{"ContextThatCanEnd": t.Context(), "ContextThatCannotEnd": context.Background()} {
		t.Run(kind, func(t *testing.T) {
			lock := client.NewLock(uniqueName(t))
			ctx := rlock.WithOwner(background, rlock.NewOwner())
			const holds = 4
			var held []*rlock.Hold
			for range holds {
				hold, err := lock.Lock(ctx)
				require.NoError(t, err)
				held = append(held, hold)
			}
			proxy.SetDelay(30 * time.Millisecond)
			defer proxy.SetDelay(0)
			sent := passing(proxy, lock.Name())
			errs := make(chan error, holds)
			for i, hold := range held {
				go func() { errs <- hold.Unlock(ctx) }()
				if i == 0 {
					awaitClosed(t, sent, soon, "the first release is under way")
				}
			}
			for range holds {
				require.NoError(t, <-errs)
			}
			requireFree(t, server, lock.Name())
		})
	}
}

// A script of ours that is given up on must not take the commands of others with it that
// share its connection.
func TestBystanderSeesNoContextErrorWhenTheServerIsSilent(t *testing.T) {
	t.Parallel()
	const longest = 6 * time.Second // that any script of ours may stay unanswered
	type scenario struct {
		name string
		set  <-chan error // the result of the bystander's SET
	}
	var scenarios []scenario
	for name, disturb := range map[string]func(client *rlock.Client, hold *rlock.Hold, proxy *redistest.Proxy){
		"TryLock": func(client *rlock.Client, hold *rlock.Hold, _ *redistest.Proxy) {
			_, err := client.NewLock(hold.Name()+":other").TryLock(ownerContext(t), 0)
			requireFault(t, err)
		},
		"LockInPlace": func(client *rlock.Client, hold *rlock.Hold, proxy *redistest.Proxy) {
			sent := passing(proxy, hold.Name()+":other")
			go func() { _, _ = client.NewLock(hold.Name() + ":other").Lock(context.Background()) }()
			awaitClosed(t, sent, soon, "the script is sent")
		},
		"Renewal": func(_ *rlock.Client, hold *rlock.Hold, proxy *redistest.Proxy) {
			awaitClosed(t, passing(proxy, hold.Name()), soon, "a renewal is sent")
		},
		"Close": func(client *rlock.Client, hold *rlock.Hold, proxy *redistest.Proxy) {
			sent := passing(proxy, hold.Name())
			go func() { _ = client.Close() }() // the test's own call waits for it
			awaitClosed(t, sent, soon, "the release is sent")
		},
	} {
		s := redistest.Start(t)
		proxy := s.Proxy(t)
		rdb := s.Client(t, proxy.Use, oneConnection, unpinged, func(option *rueidis.ClientOption) { option.ConnWriteTimeout = time.Minute })
		client := newClient(t, rdb, rlock.WithGracePeriod(100*time.Millisecond), rlock.WithWatchdogTimeout(15*time.Second))
		hold, err := client.NewLock(uniqueName(t)).Lock(ownerContext(t))
		require.NoError(t, err)
		s.Pause(t)
		t.Cleanup(func() { s.Resume(t) }) // before the clients are closed
		disturb(client, hold, proxy)
		set := make(chan error, 1)
		go func() {
			set <- rdb.Do(context.Background(), rdb.B().Set().Key(hold.Name()+":value").Value("1").Build()).Error()
		}()
		scenarios = append(scenarios, scenario{name, set})
	}

	timer := time.NewTimer(longest)
	defer timer.Stop()
	<-timer.C
	for _, s := range scenarios {
		select {
		case err := <-s.set: // it waits for the server, unless it has failed
			assert.NoError(t, err, s.name)
		default:
		}
	}
}
