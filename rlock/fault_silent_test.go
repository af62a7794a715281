package rlock_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// A server that accepts and does not answer is a fault, however short the wait.
func TestSilentServerIsAFaultAfterWaitAndGrace(t *testing.T) {
	t.Parallel()
	const grace = 400 * time.Millisecond
	for kind, wait := range map[string]time.Duration{"NoWait": 0, "ShortWait": 500 * time.Millisecond} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
			lock := client.NewLock(uniqueName(t))
			s.Pause(t)

			got := result(t, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
				return lock.TryLock(ctx, wait)
			}), wait+grace+soon)
			requireFault(t, got.err)
			assert.GreaterOrEqual(t, got.took, wait+grace)

			s.Resume(t)
			takeAndRelease(t, client, lock.Name())
			require.NoError(t, client.Close()) // waits for what was abandoned
			requireFree(t, s, lock.Name())
		})
	}
}

// The waiter sleeps until its wait is over; only then can it notice that the server
// has fallen silent, and it must not take that for contention.
func TestWaiterTellsSilenceFromContention(t *testing.T) {
	t.Parallel()
	const wait, grace = 4 * time.Second, 400 * time.Millisecond
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
	lock := client.NewLock(uniqueName(t))
	occupy(t, s, lock.Name(), time.Hour)
	waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return lock.TryLock(ctx, wait)
	})
	awaitListener(t, s, lock.Name())
	s.Pause(t)

	got := result(t, waiting, wait+grace+soon)
	requireFault(t, got.err)
	assert.GreaterOrEqual(t, got.took, wait+grace)

	s.Resume(t)
	require.Equal(t, map[string]string{foreign: "1"}, holders(t, s, lock.Name()))
	vacate(t, s, lock.Name())
	takeAndRelease(t, client, lock.Name())
	require.NoError(t, client.Close())
	requireFree(t, s, lock.Name())
}

// The locks are free, so that what was abandoned takes them when the server goes on, and
// has to give them back.
func TestAttemptsThatWereAbandonedAreUndone(t *testing.T) {
	t.Parallel()
	const grace = 300 * time.Millisecond
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
	prefix := uniqueName(t)
	var names []string
	next := func() *rlock.Lock {
		names = append(names, prefix+":"+strconv.Itoa(len(names)))
		return client.NewLock(names[len(names)-1])
	}
	s.Pause(t)

	ctx, cancel := context.WithTimeout(ownerContext(t), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := next().Lock(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(began), soon)

	cancelled, stop := context.WithCancel(ownerContext(t))
	lock := next()
	waiting := inBackground(cancelled, func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
	stop()
	require.ErrorIs(t, result(t, waiting, soon).err, context.Canceled)

	for range 6 {
		_, err := next().TryLock(ownerContext(t), 0)
		requireFault(t, err)
	}

	s.Resume(t)
	for _, name := range names {
		takeAndRelease(t, client, name)
	}
	require.NoError(t, client.Close()) // waits for what was abandoned
	require.Empty(t, s.Do(t, "KEYS", "*"), "locks were left behind")
	require.Greater(t, s.CommandStats(t)["hset"].Calls, int64(len(names)), "nothing that was abandoned has run")
}

func TestHoldCountIsRightAfterAnAbandonedReentry(t *testing.T) {
	t.Parallel()
	const grace = 300 * time.Millisecond
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	hold, err := lock.Lock(ctx)
	require.NoError(t, err)

	s.Pause(t)
	_, err = lock.TryLock(ctx, 0)
	requireFault(t, err)
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	_, err = lock.Lock(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	s.Resume(t)

	until(t, soon, "the abandoned holds are given back", func() bool {
		n, err := lock.HoldCount(ctx)
		require.NoError(t, err)
		return n == 1
	})
	inner, err := lock.Lock(ctx)
	require.NoError(t, err)
	n, err := lock.HoldCount(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, inner.Unlock(ctx))
	require.NoError(t, hold.Err())
	require.NoError(t, hold.Unlock(ctx))
	requireFree(t, s, lock.Name())
}

// Contexts end on time whatever the server does, and are told from faults.
func TestContextEndsAWaitForASilentServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(time.Minute))
	lock := client.NewLock(uniqueName(t))
	hold, err := lock.Lock(ownerContext(t))
	require.NoError(t, err)
	waiting, cancel := context.WithCancel(t.Context())
	defer cancel()
	waiter := inBackground(waiting, func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
	awaitListener(t, s, lock.Name())
	s.Pause(t)

	cancel()
	require.ErrorIs(t, result(t, waiter, soon).err, context.Canceled)
	for kind, operation := range map[string]func(ctx context.Context) error{
		"Lock":      func(ctx context.Context) error { _, err := lock.Lock(ctx); return err },
		"TryLock":   func(ctx context.Context) error { _, err := lock.TryLock(ctx, time.Hour); return err },
		"NoWait":    func(ctx context.Context) error { _, err := lock.TryLock(ctx, 0); return err },
		"Inspect":   func(ctx context.Context) error { _, err := lock.Inspect(ctx); return err },
		"HoldCount": func(ctx context.Context) error { _, err := lock.HoldCount(ctx); return err },
	} {
		t.Run(kind, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(ownerContext(t), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			err := operation(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotErrorIs(t, err, rlock.ErrUnavailable)
			assert.Less(t, time.Since(began), soon)
		})
	}
	s.Resume(t)
	require.NoError(t, hold.Unlock(t.Context()))
	takeAndRelease(t, client, lock.Name())
	require.NoError(t, client.Close())
	requireFree(t, s, lock.Name())
}

// CLIENT PAUSE holds requests back and loses none.
func TestPausedClientsGoOn(t *testing.T) {
	t.Parallel()
	const grace = 200 * time.Millisecond
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithGracePeriod(grace))
	name := uniqueName(t)
	lock := client.NewLock(name)
	hold, err := lock.Lock(ownerContext(t))
	require.NoError(t, err)
	waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
	awaitListener(t, s, name)

	s.Do(t, "CLIENT", "PAUSE", "4500", "ALL")
	_, err = client.NewLock(uniqueName(t)).TryLock(t.Context(), 0)
	requireFault(t, err)
	unlocked := make(chan error, 1)
	go func() { unlocked <- hold.Unlock(context.Background()) }()
	stillWaiting(t, waiting)

	require.NoError(t, <-unlocked)
	got := result(t, waiting, soon)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(t.Context()))
	requireFree(t, s, name)
}

// A lease that ends while the server is silent is lost on time, by the client's own
// clock; the server's answer to the renewal comes too late to change that.
func TestHoldEndsOnTimeWhenTheServerIsSilent(t *testing.T) {
	t.Parallel()
	const lease = 6 * time.Second
	s := redistest.Start(t)
	client := newClient(t, s.Client(t), rlock.WithWatchdogTimeout(lease))
	hold, err := client.NewLock(uniqueName(t)).Lock(t.Context())
	require.NoError(t, err)
	s.Pause(t)
	awaitClosed(t, hold.Done(), lease+soon, "the hold ends")
	requireLost(t, hold, rlock.Unreachable)
	s.Resume(t)
	requireLost(t, hold, rlock.Unreachable)
	require.ErrorIs(t, hold.Unlock(t.Context()), rlock.ErrLost)
	takeAndRelease(t, client, hold.Name())
}
