package rlock_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// Where they are makes no difference: waiters wake when the minimum is over, which a lease
// of the watchdog would hide, and not before.
func TestKeptLockIsTakenByWaitersEverywhere(t *testing.T) {
	t.Parallel()
	const least = 1500 * time.Millisecond
	for local := range 3 {
		for remote := range 3 {
			if local+remote == 0 {
				continue
			}
			t.Run(strconv.Itoa(local)+"Local"+strconv.Itoa(remote)+"Remote", func(t *testing.T) {
				t.Parallel()
				client := newClient(t, server.Client(t), patient)
				lock := client.NewLock(uniqueName(t))
				began := time.Now()
				hold, err := lock.Lock(ownerContext(t), rlock.WithMinHold(least))
				require.NoError(t, err)
				locked := time.Now()
				clients := make([]*rlock.Client, 0, local+remote)
				for range local {
					clients = append(clients, client)
				}
				for range remote {
					clients = append(clients, newClient(t, server.Client(t), patient))
				}
				var waiting []<-chan call
				for _, c := range clients {
					waiting = append(waiting, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
						hold, err := c.NewLock(lock.Name()).Lock(ctx)
						if err == nil {
							assert.NoError(t, hold.Unlock(ctx))
						}
						return hold, err
					}))
				}
				awaitListener(t, server, lock.Name())
				require.NoError(t, hold.Unlock(t.Context()))
				for _, w := range waiting {
					got := result(t, w, soon)
					require.NoError(t, got.err)
					assert.Greater(t, got.at.Sub(began), least)
					t.Logf("%v after the minimum", got.at.Sub(locked)-least)
				}
				requireFree(t, server, lock.Name())
				require.NoError(t, client.Close())
				require.Equal(t, int64(0), server.Do(t, "LLEN", "rlock_queue:{"+lock.Name()+"}"), "tickets were left behind")
			})
		}
	}
}
