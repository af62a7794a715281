package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newLockers returns two lockers of a kind, as two processes have.
func newLockers(t *testing.T, kind, url string, wait, lease time.Duration) [2]locker {
	t.Helper()
	var two [2]locker
	for i := range two {
		l, err := newLocker(kind, client(t, url), wait, lease)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.close()) })
		two[i] = l
	}
	return two
}

func TestLockersExclude(t *testing.T) {
	for _, kind := range []string{"rlock", "spin"} {
		t.Run(kind, func(t *testing.T) {
			for where, newServer := range servers {
				t.Run(where, func(t *testing.T) {
					url := newServer(t)
					rdb := client(t, url)
					two := newLockers(t, kind, url, 20*time.Millisecond, time.Minute)
					for range 2 {
						held, err := two[0].acquire(t.Context())
						require.NoError(t, err)
						require.NoError(t, held.err())
						_, err = two[1].acquire(t.Context())
						require.ErrorIs(t, err, errSkipped)
						require.NoError(t, held.release(t.Context()))
					}
					held, err := two[1].acquire(t.Context())
					require.NoError(t, err)
					require.NoError(t, held.release(t.Context()))
					assert.Empty(t, keys(t, rdb, "*"))
				})
			}
		})
	}
}

func TestLockersStopWaitingWhenTheContextIsDone(t *testing.T) {
	for _, kind := range []string{"rlock", "spin"} {
		t.Run(kind, func(t *testing.T) {
			for where, newServer := range servers {
				t.Run(where, func(t *testing.T) {
					url := newServer(t)
					two := newLockers(t, kind, url, time.Hour, time.Minute)
					held, err := two[0].acquire(t.Context())
					require.NoError(t, err)
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					defer cancel()
					_, err = two[1].acquire(ctx)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.NoError(t, held.release(t.Context()))
				})
			}
		})
	}
}

// A holder whose lease was over does not release what is somebody else's by then.
func TestLockersLoseTheirLease(t *testing.T) {
	for _, kind := range []string{"rlock", "spin"} {
		t.Run(kind, func(t *testing.T) {
			for where, newServer := range servers {
				t.Run(where, func(t *testing.T) {
					url := newServer(t)
					short := newLockers(t, kind, url, patience, time.Second)[0]
					long := newLockers(t, kind, url, patience, time.Minute)
					lostHold, err := short.acquire(t.Context())
					require.NoError(t, err)
					held, err := long[0].acquire(t.Context())
					require.NoError(t, err)
					require.ErrorIs(t, lostHold.release(t.Context()), errLost)
					require.NoError(t, held.release(t.Context()))
					if kind == "rlock" {
						require.ErrorIs(t, lostHold.err(), errLost)
						<-lostHold.gone()
					}
				})
			}
		})
	}
}

func TestUnknownLockerIsRefused(t *testing.T) {
	_, err := newLocker("mutex", nil, 0, time.Second)
	require.ErrorContains(t, err, `"mutex"`)
}
