package rlock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// The lock was taken away between two nested holds of one owner: the outer ones are
// lost, and the inner one is no re-entry but waits its turn.
func TestNestedLockAfterALossWaitsItsTurn(t *testing.T) {
	t.Parallel()
	for kind, takeAway := range map[string]func(t *testing.T, lock *rlock.Lock){
		"ForceUnlockedAndTaken": func(t *testing.T, lock *rlock.Lock) {
			t.Helper()
			other := newClient(t, server.Client(t)) // whose holders' client is not told
			forced, err := other.NewLock(lock.Name()).ForceUnlock(t.Context())
			require.NoError(t, err)
			require.True(t, forced)
			occupy(t, server, lock.Name(), time.Hour)
		},
		"ExpiredAndTaken": func(t *testing.T, lock *rlock.Lock) {
			t.Helper()
			server.Do(t, "PEXPIRE", lock.Name(), "1")
			awaitFree(t, server, lock.Name())
			occupy(t, server, lock.Name(), time.Hour)
		},
		"Overwritten": func(t *testing.T, lock *rlock.Lock) {
			t.Helper()
			occupy(t, server, lock.Name(), time.Hour)
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, server.Client(t), patient) // renews every 10 s
			lock := client.NewLock(uniqueName(t))
			ctx := ownerContext(t)
			first, err := lock.Lock(ctx)
			require.NoError(t, err)
			second, err := lock.Lock(ctx, rlock.WithLease(time.Hour))
			require.NoError(t, err)
			takeAway(t, lock)

			_, err = lock.TryLock(ctx, 0)
			require.ErrorIs(t, err, rlock.ErrNotAcquired)
			requireLost(t, first, rlock.Removed)
			requireLost(t, second, rlock.Removed)
			waiting := make(chan call, 1)
			go func() {
				hold, err := lock.Lock(ctx)
				waiting <- call{hold: hold, err: err}
			}()
			awaitListener(t, server, lock.Name())
			stillWaiting(t, waiting)
			require.Equal(t, map[string]string{foreign: "1"}, holders(t, server, lock.Name()))

			vacate(t, server, lock.Name())
			got := result(t, waiting, soon)
			require.NoError(t, got.err)
			numberOf(t, server, client, lock.Name(), 1)
			for _, hold := range []*rlock.Hold{first, second} {
				require.ErrorIs(t, hold.Unlock(ctx), rlock.ErrLost, "a lost hold gives nothing back")
			}
			require.NoError(t, got.hold.Err())
			numberOf(t, server, client, lock.Name(), 1)
			require.NoError(t, got.hold.Unlock(ctx))
			requireFree(t, server, lock.Name())
		})
	}
}

// The lock was taken away and nobody took it: the nested one is the first one then.
func TestNestedLockAfterALossIsTheFirstOne(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	outer, err := lock.Lock(ctx)
	require.NoError(t, err)
	server.Do(t, "DEL", lock.Name())

	inner, err := lock.Lock(ctx)
	require.NoError(t, err)
	requireLost(t, outer, rlock.Removed)
	numberOf(t, server, client, lock.Name(), 1)
	require.ErrorIs(t, outer.Unlock(ctx), rlock.ErrLost)
	numberOf(t, server, client, lock.Name(), 1)
	require.NoError(t, lock.Unlock(ctx), "the hold that is left")
	require.NoError(t, inner.Err())
	requireFree(t, server, lock.Name())
}

// Somebody else of the same process and another count: a field that this process does
// not know of is not re-entered.
func TestForeignCountIsALoss(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	var holds []*rlock.Hold
	for range 3 {
		hold, err := lock.Lock(ctx)
		require.NoError(t, err)
		holds = append(holds, hold)
	}
	info, err := lock.Inspect(ctx)
	require.NoError(t, err)
	server.Do(t, "HSET", lock.Name(), info.Owner, "1")

	inner, err := lock.Lock(ctx)
	require.NoError(t, err)
	for _, hold := range holds {
		requireLost(t, hold, rlock.Removed)
	}
	numberOf(t, server, client, lock.Name(), 1)
	require.NoError(t, inner.Unlock(ctx))
	requireFree(t, server, lock.Name())
}

func TestLossIsNoticedWithinARenewalPeriod(t *testing.T) {
	t.Parallel()
	const timeout = 4500 * time.Millisecond // renewals are 1.5 s apart
	type loss struct {
		kind         string
		lock         *rlock.Lock
		ctx          context.Context
		outer, inner *rlock.Hold
		left         any // whether the key was there after the loss
	}
	client := newClient(t, server.Client(t), rlock.WithWatchdogTimeout(timeout))
	var losses []*loss
	for lease, options := range map[string][]rlock.LockOption{
		"Watched": nil,
		"Fixed":   {rlock.WithLease(time.Hour)},
		"MaxHold": {rlock.WithMaxHold(time.Hour)},
	} {
		for kind, takeAway := range map[string]func(name string){
			"Deleted":   func(name string) { server.Do(t, "DEL", name) },
			"TakenOver": func(name string) { occupy(t, server, name, time.Hour) },
			"OtherType": func(name string) { server.Do(t, "DEL", name); server.Do(t, "SET", name, "text") },
		} {
			l := &loss{kind: lease + " " + kind, lock: client.NewLock(uniqueName(t)), ctx: ownerContext(t)}
			var err error
			l.outer, err = l.lock.Lock(l.ctx, options...)
			require.NoError(t, err)
			l.inner, err = l.lock.Lock(l.ctx, options...)
			require.NoError(t, err)
			takeAway(l.lock.Name())
			l.left = server.Do(t, "EXISTS", l.lock.Name())
			losses = append(losses, l)
		}
	}
	for _, l := range losses {
		for _, hold := range []*rlock.Hold{l.outer, l.inner} {
			awaitClosed(t, hold.Done(), soon, l.kind)
			requireLost(t, hold, rlock.Removed)
			require.ErrorIs(t, hold.Unlock(l.ctx), rlock.ErrLost)
		}
		require.ErrorIs(t, l.lock.Unlock(l.ctx), rlock.ErrNotHeld)
		require.Equal(t, l.left, server.Do(t, "EXISTS", l.lock.Name()), "what others wrote was removed: %s", l.kind)
	}
}

// Nobody is told of a forced release by the server, except who listens.
func TestForcedReleaseIsNoticedAtOnceWhereSomebodyWaits(t *testing.T) {
	t.Parallel()
	client, operator := newClient(t, server.Client(t)), newClient(t, server.Client(t))
	for lease, options := range map[string][]rlock.LockOption{"Watched": nil, "Fixed": {rlock.WithLease(time.Hour)}} {
		t.Run(lease, func(t *testing.T) {
			lock := client.NewLock(uniqueName(t))
			hold, err := lock.Lock(ownerContext(t), options...)
			require.NoError(t, err)
			done := hold.Done()
			waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
			awaitListener(t, server, lock.Name())

			forced, err := operator.NewLock(lock.Name()).ForceUnlock(t.Context())
			require.NoError(t, err)
			require.True(t, forced)
			awaitClosed(t, done, soon, "the holder is told") // renewals are 10 s apart
			requireLost(t, hold, rlock.Removed)
			got := result(t, waiting, soon)
			require.NoError(t, got.err)
			require.NoError(t, got.hold.Unlock(t.Context()))
		})
	}
}

// The holders of the process that forces a lock open need no message.
func TestForcedReleaseIsNoticedAtOnceInItsOwnClient(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	lock := client.NewLock(uniqueName(t))
	hold, err := lock.Lock(ownerContext(t))
	require.NoError(t, err)
	done := hold.Done()
	forced, err := lock.ForceUnlock(t.Context())
	require.NoError(t, err)
	require.True(t, forced)
	awaitClosed(t, done, soon, "the holder is told")
	requireLost(t, hold, rlock.Removed)
	forced, err = lock.ForceUnlock(t.Context())
	require.NoError(t, err)
	require.False(t, forced)
}

// Messages of releases that are one's own, or of others' for which one waits, do not
// end holds.
func TestMessagesEndNoHold(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t))
	lock := client.NewLock(uniqueName(t))
	hold, err := lock.Lock(ownerContext(t))
	require.NoError(t, err)
	waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return lock.Lock(ctx)
	})
	awaitListener(t, server, lock.Name())
	for _, payload := range []string{"0", "1", "", "text", "2"} {
		server.Do(t, "PUBLISH", channelName(lock.Name()), payload)
	}
	takeAndRelease(t, client, uniqueName(t))
	stillWaiting(t, waiting)
	require.NoError(t, hold.Err())
	require.NoError(t, hold.Unlock(t.Context()))
	got := result(t, waiting, soon)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(t.Context()))
}

// The holder is cut off; the other client waits for the lock to expire. Whoever works
// until its hold ends has stopped when the other one begins.
func TestCutOffHolderStopsBeforeTheNextOneStarts(t *testing.T) {
	t.Parallel()
	const lease = 9 * time.Second
	for kind, options := range map[string][]rlock.LockOption{"Watched": nil, "Fixed": {rlock.WithLease(lease)}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			proxy := s.Proxy(t)
			holder := newClient(t, s.Client(t, proxy.Use), rlock.WithWatchdogTimeout(lease))
			// The other one's way is longer: else a moment in which this process does not
			// run at all could show both in the wrong order.
			detour := s.Proxy(t)
			other := newClient(t, s.Client(t, detour.Use))
			detour.SetDelay(25 * time.Millisecond)
			name := uniqueName(t)
			hold, err := holder.NewLock(name).Lock(t.Context(), options...)
			require.NoError(t, err)
			// A context of the work does not look at the clocks by itself.
			work, cancel := context.WithCancel(hold.Context())
			defer cancel()
			stopped := make(chan time.Time, 1)
			context.AfterFunc(work, func() { stopped <- time.Now() })
			waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
				return other.NewLock(name).Lock(ctx)
			})
			awaitListener(t, s, name)
			proxy.Refuse(true)
			proxy.CutAll()

			got := result(t, waiting, lease+soon)
			require.NoError(t, got.err)
			select {
			case at := <-stopped:
				assert.Positive(t, got.at.Sub(at), "the holder stopped too late")
			case <-time.After(soon):
				require.FailNow(t, "the holder was not told")
			}
			if kind == "Watched" {
				requireLost(t, hold, rlock.Unreachable)
			} else {
				requireLost(t, hold, rlock.Expired)
			}
			require.NoError(t, got.hold.Err())
			require.NoError(t, got.hold.Unlock(t.Context()))
		})
	}
}

// Every way to learn of a loss tells the same.
func TestLossIsToldEverywhere(t *testing.T) {
	t.Parallel()
	client := newClient(t, server.Client(t), patient)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	err := lock.Do(ctx, func(work context.Context) error {
		server.Do(t, "DEL", lock.Name())
		_, err := lock.TryLock(ctx, 0) // notices it, and takes the lock anew
		require.NoError(t, err)
		awaitClosed(t, work.Done(), soon, "the context of the work ends")
		require.ErrorIs(t, work.Err(), context.Canceled)
		return context.Cause(work)
	})
	require.ErrorIs(t, err, rlock.ErrLost)
	var lost *rlock.LostError
	require.ErrorAs(t, err, &lost)
	assert.Equal(t, rlock.Removed, lost.Reason)
	assert.WithinDuration(t, time.Now(), lost.Since, soon)
	require.NoError(t, lock.Unlock(ctx))
	requireFree(t, server, lock.Name())
}
