package rlock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// After a failover the old primary lives on for 8 seconds or more, as a primary that nobody
// writes to, or is there and does not answer. Whoever still listened there would hear of
// nothing in that time.
func TestFailoverIsFollowedBeforeTheOldPrimaryGoes(t *testing.T) {
	t.Parallel()
	for kind, old := range map[string]struct {
		disturb func(t *testing.T, primary *redistest.Server)
		swift   time.Duration
	}{
		"Alive": {func(*testing.T, *redistest.Server) {}, 7 * time.Second},
		// Closing a connection to it takes a second.
		"Silent": {func(t *testing.T, primary *redistest.Server) { t.Helper(); primary.Pause(t) }, 7 * time.Second},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			followFailover(t, old.disturb, old.swift)
		})
	}
}

// followFailover checks that what waits and what is held goes on soon after a failover
// before which the primary was disturbed.
func followFailover(t *testing.T, disturb func(t *testing.T, primary *redistest.Server), swift time.Duration) {
	t.Helper()
	s := redistest.StartSentinel(t)
	rdb := s.Client(t)
	holder := newClient(t, rdb, patient, rlock.WithWatchdogTimeout(2*time.Minute)) // renews every 40 s
	kept, lost := holder.NewLock(uniqueName(t)), holder.NewLock(uniqueName(t))
	hold, err := kept.Lock(ownerContext(t))
	require.NoError(t, err)
	losing, err := lost.Lock(ownerContext(t))
	require.NoError(t, err)

	var waiting []<-chan call
	others := []*rlock.Client{newClient(t, s.Client(t), patient), newClient(t, s.Client(t), patient)}
	for i, other := range others {
		lock := other.NewLock(kept.Name())
		for range 3 {
			waiting = append(waiting, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
				hold, err := lock.Lock(ctx)
				if err != nil {
					return nil, err
				}
				return hold, hold.Unlock(ctx)
			}))
		}
		until(t, soon, "the waiters listen", func() bool { return listeners(t, s.Primary, kept.Name()) == int64(i+1) })
	}
	until(t, soon, "the replica has the locks", func() bool {
		return len(holders(t, s.Replica, kept.Name())) == 1 && len(holders(t, s.Replica, lost.Name())) == 1
	})
	s.Replica.Do(t, "CONFIG", "SET", "replica-read-only", "no")
	s.Replica.Do(t, "DEL", lost.Name()) // as if it had not been replicated

	disturb(t, s.Primary)
	s.Failover(t)
	until(t, soon, "the client of the holder has turned to the new primary", func() bool {
		return rdb.Nodes()[s.Replica.Addr()] != nil
	})
	awaitClosed(t, losing.Done(), swift, "the hold that was not replicated is lost")
	requireLost(t, losing, rlock.Removed)
	require.NoError(t, hold.Err())
	for _, done := range waiting {
		stillWaiting(t, done)
	}
	require.NoError(t, hold.Unlock(t.Context()))
	released := time.Now()
	for _, done := range waiting {
		require.NoError(t, result(t, done, time.Until(released.Add(swift))).err)
	}

	// And what is said from now on is heard.
	hold, err = kept.Lock(ownerContext(t))
	require.NoError(t, err)
	last := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return others[0].NewLock(kept.Name()).Lock(ctx)
	})
	awaitWaiter(t, s.Replica, kept.Name())
	require.NoError(t, hold.Unlock(t.Context()))
	got := result(t, last, swift)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(t.Context()))
	requireFree(t, s.Replica, kept.Name())
}
