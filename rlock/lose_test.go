package rlock

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/watchdog"
)

// scene returns a hold in a bubble of its own, and what keeps it alive. Its alarm is late: its
// time is over when late is called, and nobody has looked.
func scene(t *testing.T, options ...LockOption) (hold *Hold, v vigil, late func()) {
	t.Helper()
	_, connect := bubble.New(t)
	client, err := New(connect())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	hold, err = client.NewLock("orders").TryLock(t.Context(), 0, options...)
	require.NoError(t, err)
	return hold, vigil{hold.tenure, hold.tenure.vigils}, func() {
		hold.tenure.room.mu.Lock()
		defer hold.tenure.room.mu.Unlock()
		hold.trust = watchdog.Since(time.Now().Add(-lease), lease)
	}
}

// requireReason requires that the hold was lost for that reason and fault.
func requireReason(t *testing.T, hold *Hold, reason Reason, fault error) {
	t.Helper()
	var lost *LostError
	require.ErrorAs(t, hold.Err(), &lost)
	assert.Equal(t, reason, lost.Reason)
	assert.Equal(t, fault, lost.Err)
}

const lease = 30 * time.Second

// When a stopped process goes on, its watchdog may be the first to look. What it would ask for
// then is too late, and no fault of a server that has not answered yet.
func TestRenewalOfWhatIsOverIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold, v, late := scene(t)
		late()
		require.NoError(t, v.tenure.client.renew(t.Context(), []vigil{v}))
		requireReason(t, hold, Expired, nil)
	})
}

// A hold that nobody will have, because it took too long to get it, is given back; its lock
// must not be left to its lease because the watchdog looks just then.
func TestRenewalLeavesAloneWhatIsBeingGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold, v, late := scene(t)
		late()
		hold.tenure.room.mu.Lock()
		hold.leaving = true
		hold.tenure.room.mu.Unlock()
		require.NoError(t, v.tenure.client.renew(t.Context(), []vigil{v}))
		v.tenure.take()
		defer v.tenure.give()
		v.tenure.undo(t.Context(), hold)
		locked, err := v.tenure.client.NewLock("orders").IsLocked(t.Context())
		require.NoError(t, err)
		require.False(t, locked)
	})
}

// On a slow machine the server's answer that the lock is gone may be looked at before the
// clock. When the holder's time is over it does not matter who was first: what kept the lease
// from being renewed is the reason, if anything did.
func TestReasonOfALossDoesNotDependOnWhatIsSeenFirst(t *testing.T) {
	refused := errors.New("refused")
	failed := func(v vigil) { v.failed(refused) }
	for name, c := range map[string]struct {
		options []LockOption
		before  func(vigil)
		reason  Reason
		err     error
	}{
		"RenewalsFailed":    {nil, failed, Unreachable, refused},
		"NoRenewalFailed":   {nil, func(vigil) {}, Expired, nil},
		"NoRenewalIsNeeded": {[]LockOption{WithLease(lease)}, failed, Expired, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hold, v, late := scene(t, c.options...)
				c.before(v)
				late()
				v.renewed(time.Now(), lease, lua.Vanished)
				requireReason(t, hold, c.reason, c.err)
			})
		})
	}
}
