package rlock_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// A caller is a log handler that does something for each record.
type caller struct {
	slog.Handler

	call func()
}

func (c caller) Handle(context.Context, slog.Record) error {
	c.call()
	return nil
}

// The server refuses the channels of handing over while somebody waits, and the program's
// log handler, which hears of it, uses that lock.
func TestLogHandlerMayUseTheLibrary(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rights := append(documentedRights(t), "resetchannels", "&redisson_lock__channel:*")
	var lock *rlock.Lock
	logged := make(chan error, 1)
	handler := caller{slog.NewTextHandler(&journal{}, nil), func() {
		_, err := lock.TryLock(rlock.WithOwner(context.Background(), rlock.NewOwner()), time.Millisecond)
		logged <- err
	}}
	client := newClient(t, s.Client(t, restricted(t, s, "talkative", rights...)), on, patient, rlock.WithLogger(slog.New(handler)))
	lock = client.NewLock(aclPrefix + uniqueName(t))
	holder, waiter := ownerContext(t), ownerContext(t)
	hold, err := lock.Lock(holder)
	require.NoError(t, err)
	waiting := inBackground(waiter, func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
	select {
	case err := <-logged:
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
	case <-time.After(soon):
		require.FailNow(t, "the handler does not return")
	}
	require.NoError(t, hold.Unlock(holder))
	got := result(t, waiting, soon)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(waiter))
}

// The server refuses PUBLISH, of which the first Unlock tells the handler.
func TestLogHandlerThatIsToldOfARefusedPublishMayUseThatLock(t *testing.T) {
	for name, handle := range map[string]func(client *rlock.Client, lock *rlock.Lock) error{
		"Lock": func(_ *rlock.Client, lock *rlock.Lock) error {
			return lock.Do(context.Background(), func(context.Context) error { return nil })
		},
		"Close": func(client *rlock.Client, _ *rlock.Lock) error { return client.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var client *rlock.Client
				var lock *rlock.Lock
				handled := make(chan error, 1)
				handler := caller{slog.NewTextHandler(&journal{}, nil), func() { handled <- handle(client, lock) }}
				client = w.client(t, rlock.WithLogger(slog.New(handler)))
				lock = client.NewLock("orders")
				hold := must(t)(lock.Lock(t.Context()))
				w.deny("PUBLISH", "ERR The user executing the script can't run this command or subcommand")
				require.NoError(t, hold.Unlock(context.WithoutCancel(t.Context())))
				require.NoError(t, await(t, handled))
			})
		})
	}
}

// A waiter is granted the lock and has left when the message comes. The server refuses to
// take the lock back, of which the handler hears, and uses the lock for the same owner.
func TestLogHandlerThatIsToldOfAGrantThatStaysMayUseThatLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var late delay
		var lock *rlock.Lock
		ctx, cancel := context.WithCancel(stranger(t))
		handled := make(chan attempt, 1)
		handler := caller{slog.NewTextHandler(&journal{}, nil), func() {
			w.repair()
			handled <- attempted(lock.TryLock(context.WithoutCancel(ctx), 0))
		}}
		lock = w.delayed(t, &late, rlock.WithLogger(slog.New(handler))).NewLock("orders")
		first := must(t)(w.lock(t, "orders", on).Lock(stranger(t)))
		waiting := later(func() attempt { return attempted(lock.Lock(ctx)) })
		synctest.Wait()
		late.begin()
		require.NoError(t, first.Unlock(t.Context()))
		synctest.Wait()
		w.refuse("ERR not now")
		cancel()
		require.ErrorIs(t, await(t, waiting).err, context.Canceled)
		synctest.Wait()
		late.end()
		require.NoError(t, await(t, handled).err)
	})
}

// The handler takes longer than the rest of the lease, and the fault does not.
func TestSlowLogHandlerDoesNotHoldUpTheNextRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		handler := caller{slog.NewTextHandler(&journal{}, nil), func() { time.Sleep(time.Minute) }}
		lock := w.lock(t, "orders", rlock.WithLogger(slog.New(handler)))
		hold := must(t)(lock.Lock(t.Context()))
		time.Sleep(9 * time.Second)
		w.refuse(loading)
		time.Sleep(2 * time.Second) // a renewal fails
		w.repair()
		time.Sleep(40 * time.Second)
		require.NoError(t, hold.Err())
		require.NoError(t, hold.Unlock(t.Context()))
		time.Sleep(time.Minute)
	})
}

func TestLogHandlerMayCloseTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var client *rlock.Client
		closed := make(chan error, 1)
		handler := caller{slog.NewTextHandler(&journal{}, nil), func() { closed <- client.Close() }}
		client = w.client(t, rlock.WithLogger(slog.New(handler)))
		hold := must(t)(client.NewLock("orders").Lock(t.Context()))
		time.Sleep(9 * time.Second)
		w.refuse(loading)
		time.Sleep(1100 * time.Millisecond) // a renewal fails
		w.repair()
		assert.NoError(t, await(t, closed))
		assert.Equal(t, rlock.ClientClosed, reasonOf(hold.Err()))
	})
}
