package rlock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// A late copy of a reduction leaves the lock a lease that is far shorter than a hold's that
// was taken since, and shorter than the time to the next renewal.
func TestHoldIsNotTrustedBeyondALeaseThatALateReductionStates(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	slow := server.Proxy(t)
	way := &detour{addr: slow.Addr()}
	client := newClient(t, server.Client(t, way.use, oneConnection), patient, rlock.WithWatchdogTimeout(5*time.Minute))
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	const short, long = 6 * time.Second, time.Minute
	outer, err := lock.Lock(ctx, rlock.WithLease(short))
	require.NoError(t, err)
	inner, err := lock.Lock(ctx, rlock.WithLease(long))
	require.NoError(t, err)
	arrive := late(t, slow, way, running(t, "reduce", lock.Name()), func() error { return inner.Unlock(ctx) })
	inner, err = lock.Lock(ctx, rlock.WithLease(long))
	require.NoError(t, err)
	require.Equal(t, map[string]string{client.ID() + ":" + (&scene{lock: lock}).owner(t): "2"}, holders(t, server, lock.Name()))
	arrive()
	awaitClosed(t, outer.Done(), soon, "the outer hold's lease ends")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(short / 2); time.Now().Before(end); <-tick.C {
		require.NotZero(t, server.Do(t, "EXISTS", lock.Name()), "the lock is free under a hold that is trusted")
	}
	assert.NoError(t, inner.Err(), "it was renewed in time")
	require.NoError(t, inner.Unlock(ctx))
	requireFree(t, server, lock.Name())
}

// The reduction had happened; what was left ended by itself before the answer to the copy.
func TestReductionThatHappenedSucceedsAfterTheRestHasEnded(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	proxy := server.Proxy(t)
	client := newClient(t, server.Client(t, proxy.Use, oneConnection), patient)
	lock := client.NewLock(uniqueName(t))
	ctx := rlock.WithOwner(context.Background(), rlock.NewOwner()) // others wait for 5 s only
	outer, err := lock.Lock(ctx, rlock.WithLease(5*time.Second))
	require.NoError(t, err)
	inner, err := lock.Lock(ctx, rlock.WithLease(time.Minute))
	require.NoError(t, err)
	end := blackout(t, proxy, "reduce", lock.Name())
	unlocked := make(chan error, 1)
	go func() { unlocked <- inner.Unlock(ctx) }()
	awaitFree(t, server, lock.Name())
	end()
	select {
	case err := <-unlocked:
		require.NoError(t, err)
	case <-time.After(soon):
		require.FailNow(t, "Unlock does not return")
	}
	require.NoError(t, inner.Err())
	requireLost(t, outer, rlock.Expired)
	require.ErrorIs(t, lock.Unlock(ctx), rlock.ErrLost)
	require.ErrorIs(t, lock.Unlock(ctx), rlock.ErrNotHeld)
}
