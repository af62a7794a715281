package rlock_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// The holder is asked about the hold that was forced open, and takes the lock again, and gives
// it back, before the answer is there: that is no answer about the new hold. Owners that do so
// side by side delay each other's questions.
func TestLossOfAnEarlierHoldIsNoLossOfALaterOne(t *testing.T) {
	t.Parallel()
	// Renewed once a while, a hold would be found lost before its owner gives it back.
	client := newClient(t, server.Client(t), patient, rlock.WithWatchdogTimeout(time.Hour))
	for i := range 16 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			lock := client.NewLock(uniqueName(t))
			for range 100 {
				ctx := ownerContext(t)
				earlier, err := lock.Lock(ctx)
				require.NoError(t, err)
				server.Do(t, "HSET", lock.Name(), "mode", "write")
				require.ErrorContains(t, earlier.Unlock(ctx), "read-write lock")
				forced, err := lock.ForceUnlock(ctx)
				require.NoError(t, err)
				require.True(t, forced)
				hold, err := lock.Lock(ctx)
				require.NoError(t, err)
				require.NoError(t, hold.Unlock(ctx))
			}
			requireFree(t, server, lock.Name())
		})
	}
}
