package rlock_test

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// A distance delays the answers of a server, by as long as it says then.
type distance struct{ atomic.Int64 }

func (d *distance) wrap(conn net.Conn) net.Conn { return distantConn{conn, d} }

type distantConn struct {
	net.Conn

	distance *distance
}

func (c distantConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	time.Sleep(time.Duration(c.distance.Load()))
	return n, err
}

// trusting requires that the hold is not trusted any more when the lock is free.
func trusting(t *testing.T, w *world, hold *rlock.Hold) {
	t.Helper()
	other := w.clientOver(t, w.connect()).NewLock("orders")
	for locked := true; locked; {
		time.Sleep(100 * time.Millisecond)
		var err error
		locked, err = other.IsLocked(t.Context())
		require.NoError(t, err)
	}
	require.Error(t, hold.Err(), "the lock is free under a hold that is trusted")
}

// A renewal asks for what the holds of its time need. A hold that was taken while it was
// under way may need more, and what it got was sent earlier.
func TestRenewalProlongsNoTrustInAHoldThatItDidNotAskFor(t *testing.T) {
	for name, contextFor := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var d distance
				client := w.clientOver(t, w.connect(w.dialler, wrapping(d.wrap), unpipelined))
				must(t)(client.NewLock("parcels").Lock(stranger(t)))
				time.Sleep(11 * time.Second) // the server knows the script that renews
				w.hush()
				locked := make(chan error)
				for range 2 { // there are two connections
					go func() {
						_, err := client.NewLock("parcels").IsLocked(t.Context())
						locked <- err
					}()
				}
				synctest.Wait()
				w.repair()
				for range 2 {
					require.NoError(t, <-locked)
				}

				lock := client.NewLock("orders")
				ctx := rlock.WithOwner(contextFor(t), rlock.NewOwner())
				must(t)(lock.Lock(ctx, rlock.WithLease(12*time.Second)))
				time.Sleep(8 * time.Second)
				d.Store(int64(2 * time.Second))
				hold := must(t)(lock.Lock(ctx)) // a renewal is sent meanwhile
				time.Sleep(1500 * time.Millisecond)
				d.Store(0)
				w.disconnect()
				trusting(t, w, hold)
			})
		})
	}
}
