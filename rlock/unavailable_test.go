package rlock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// That every fault which may go away is ErrUnavailable, and no refusal of an ACL, is what
// requireFault checks wherever the tests bring one about.

func TestWhatIsNoFaultIsNotUnavailable(t *testing.T) {
	work := func(context.Context) error { return nil }
	for name, fail := range map[string]func(t *testing.T, w *world) error{
		"Contention": func(t *testing.T, w *world) error {
			t.Helper()
			lockTaken(t, w)
			_, err := w.lock(t, "orders").TryLock(t.Context(), time.Second)
			return err
		},
		"NotHeld": func(t *testing.T, w *world) error {
			t.Helper()
			return w.lock(t, "orders").Unlock(t.Context())
		},
		"BadName": func(t *testing.T, w *world) error {
			t.Helper()
			return w.lock(t, "").Do(t.Context(), work)
		},
		"BadOption": func(t *testing.T, w *world) error {
			t.Helper()
			return w.lock(t, "orders").Do(t.Context(), work, rlock.WithLease(-1))
		},
		"OtherType": func(t *testing.T, w *world) error {
			t.Helper()
			require.NoError(t, w.server.Set("orders", "text"))
			return w.lock(t, "orders").Do(t.Context(), work)
		},
		"Permission": func(t *testing.T, w *world) error {
			t.Helper()
			lock := w.lock(t, "orders")
			w.refuse("NOPERM this user has no permissions")
			return lock.Do(t.Context(), work)
		},
		"EndedContext": func(t *testing.T, w *world) error {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			lock := w.lock(t, "orders")
			w.hush()
			return lock.Do(ctx, work)
		},
		"Closed": func(t *testing.T, w *world) error {
			t.Helper()
			client := w.client(t)
			require.NoError(t, client.Close())
			return client.NewLock("orders").Do(t.Context(), work)
		},
		"ClosedRedisClient": func(t *testing.T, w *world) error {
			t.Helper()
			rdb := w.connect()
			rdb.Close()
			err := w.clientOver(t, rdb).NewLock("orders").Do(t.Context(), work)
			require.ErrorIs(t, err, rueidis.ErrClosing)
			return err
		},
		"Lease": func(t *testing.T, w *world) error {
			t.Helper()
			return w.lock(t, "orders").Do(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return nil },
				rlock.WithLease(time.Second))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := fail(t, newWorld(t))
				require.Error(t, err)
				require.NotErrorIs(t, err, rlock.ErrUnavailable)
			})
		})
	}
}

// The renewal is under way when the lease ends, so that no fault has been seen yet.
func TestLossByAnUnansweredRenewalIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t, rlock.WithWatchdogTimeout(3*time.Second), rlock.WithGracePeriod(time.Minute))
		hold := must(t)(client.NewLock("orders").Lock(t.Context()))
		w.hush()
		<-hold.Done()
		assert.Equal(t, rlock.Unreachable, reasonOf(hold.Err()))
		require.ErrorIs(t, hold.Err(), rlock.ErrUnavailable)
		require.ErrorIs(t, hold.Unlock(t.Context()), rlock.ErrUnavailable)
	})
}

// Whatever a server says while it cannot serve.
func TestServerThatCannotServeIsUnavailable(t *testing.T) {
	for text, passing := range map[string]bool{
		loading:                          true,
		"BUSY Redis is busy":             true,
		"MASTERDOWN Link is down":        true,
		"READONLY You can't write":       true,
		"TRYAGAIN Multiple keys":         true,
		"CLUSTERDOWN The cluster is":     true,
		"OOM command not allowed":        true,
		"MISCONF Redis is configured to": true,
		"NOREPLICAS Not enough good":     true,
		"ERR unknown command":            false,
		"NOAUTH Authentication required": false,
	} {
		t.Run(text[:4], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				w.refuse(text)
				_, err := lock.TryLock(t.Context(), 0)
				require.ErrorContains(t, err, strings.TrimPrefix(text, "ERR ")) // which the Redis client leaves out
				assert.Equal(t, passing, errors.Is(err, rlock.ErrUnavailable))
			})
		})
	}
}

// What is no reply of a script comes from something that is no Redis, or is in the way of
// one. That does not change while somebody waits for it.
func TestReplyThatNoScriptGivesIsNotUnavailable(t *testing.T) {
	for name, raw := range map[string]string{
		"Text": "+OK\r\n", "Nothing": "_\r\n", "Number": ":1\r\n",
		"OtherLength": "*3\r\n:1\r\n:1\r\n:1\r\n", "OtherKind": "*4\r\n:1\r\n$3\r\none\r\n:1\r\n:1\r\n",
		"ErrorInside": "*2\r\n:1\r\n-LOADING\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				start := time.Now()
				for operation, operate := range operations {
					if operation == "Unlock" { // of a lock that nobody has asks nobody
						continue
					}
					w.garble(raw)
					requireUnexpected(t, operate(stranger(t), lock))
				}
				hold := must(t)(lock.Lock(t.Context()))
				w.garble(raw)
				requireUnexpected(t, hold.Unlock(t.Context()))
				require.NoError(t, hold.Unlock(t.Context()))

				theirs := must(t)(w.lock(t, "orders").Lock(t.Context()))
				waiting := later(func() error { _, err := lock.Lock(stranger(t)); return err })
				synctest.Wait()
				went(t, start, 0)
				w.garble(raw)
				w.server.Publish(channelName("orders"), "0")
				requireUnexpected(t, await(t, waiting))
				went(t, start, 0)
				require.NoError(t, theirs.Unlock(t.Context()))
			})
		})
	}
}

// requireUnexpected fails the test if err is anything but that of a reply which is none.
func requireUnexpected(t *testing.T, err error) {
	t.Helper()
	require.ErrorContains(t, err, "the reply is none that the script gives: ")
	for _, other := range []error{rlock.ErrUnavailable, rlock.ErrNotAcquired, rlock.ErrNotHeld, rlock.ErrLost} {
		require.NotErrorIs(t, err, other)
	}
}

// The script may have run all the same, and be about to run once more.
func TestAcquisitionWithoutItsReplyIsUndoneAndChangesTheOwnersNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		owner := func() string {
			hold := must(t)(lock.Lock(t.Context()))
			info, err := lock.Inspect(t.Context())
			require.NoError(t, err)
			require.NoError(t, hold.Unlock(t.Context()))
			return info.Owner
		}
		before := owner()
		w.server.HSet("orders", before, "1")
		w.server.SetTTL("orders", time.Hour)
		w.garble("+OK\r\n")
		_, err := lock.Lock(t.Context())
		requireUnexpected(t, err)
		require.ErrorContains(t, err, `"OK"`)
		assert.Zero(t, w.ttl("orders"))
		assert.NotEqual(t, before, owner())
	})
}

// What servers say when they are replicas, to a script that writes.
func TestReleaseThatAReplicaRefusesIsMadeUpForOnEveryServer(t *testing.T) {
	for name, text := range map[string]string{
		"Redis62": "ERR Error running script (call to f_0a): @user_script:21: @user_script: 21: -READONLY You can't write against a read only replica.",
		"Redis70": "READONLY You can't write against a read only replica. script: 0a, on @user_script:21.",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				hold := must(t)(lock.Lock(t.Context()))
				w.refuse(text)
				require.ErrorIs(t, hold.Unlock(t.Context()), rlock.ErrUnavailable)
				w.repair()
				time.Sleep(2 * time.Second)
				assert.False(t, w.server.Exists("orders"))
			})
		})
	}
}
