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

// On a slow machine the server's answer that the lock is gone may be looked at before the
// clock. When the holder's time is over it does not matter who was first: what kept the lease
// from being renewed is the reason, if anything did.
func TestReasonOfALossDoesNotDependOnWhatIsSeenFirst(t *testing.T) {
	const lease = 30 * time.Second
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
				_, connect := bubble.New(t)
				client, err := New(connect())
				require.NoError(t, err)
				defer func() { require.NoError(t, client.Close()) }()
				hold, err := client.NewLock("orders").TryLock(t.Context(), 0, c.options...)
				require.NoError(t, err)

				v := vigil{hold.tenure, hold.tenure.vigils}
				c.before(v)
				hold.tenure.room.mu.Lock()
				hold.trust = watchdog.Since(time.Now().Add(-lease), lease) // its alarm is late
				hold.tenure.room.mu.Unlock()
				v.renewed(time.Now(), lease, lua.Vanished)

				var lost *LostError
				require.ErrorAs(t, hold.Err(), &lost)
				assert.Equal(t, c.reason, lost.Reason)
				assert.Equal(t, c.err, lost.Err)
			})
		})
	}
}
