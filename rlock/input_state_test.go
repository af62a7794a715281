package rlock_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

func TestSomethingElseAtTheNameIsAnErrorAtOnce(t *testing.T) {
	things := map[string]func(w *world) error{
		"String": func(w *world) error { return w.server.Set("orders", "text") },
		"List":   func(w *world) error { _, err := w.server.Push("orders", "text"); return err },
		"Set":    func(w *world) error { _, err := w.server.SetAdd("orders", "text"); return err },
	}
	for name, put := range things {
		for call, operation := range operations {
			if call == "Unlock" {
				continue // nothing is held, so that nothing is asked
			}
			t.Run(name+"/"+call, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock := w.lock(t, "orders")
					require.NoError(t, put(w))
					start := time.Now()
					err := operation(t.Context(), lock)
					went(t, start, 0)
					requireFault(t, err)
					assert.ErrorContains(t, err, "WRONGTYPE")
					assert.True(t, w.server.Exists("orders"), "what is no lock is left alone")
				})
			})
		}
	}
}

func TestUnlockLeavesSomethingElseAtTheNameAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context()))
		w.server.Del("orders")
		require.NoError(t, w.server.Set("orders", "text"))
		err := hold.Unlock(t.Context())
		require.ErrorContains(t, err, "WRONGTYPE")
		time.Sleep(11 * time.Second) // the watchdog looks
		require.Equal(t, rlock.Removed, reasonOf(hold.Unlock(t.Context())))
		text, err := w.server.Get("orders")
		require.NoError(t, err)
		assert.Equal(t, "text", text)
	})
}

// somebody is a holder in another process.
const somebody = "0c5fa1f2-7d52-4a53-93a9-7e7d4fb6a3b1:57"

func TestReadWriteLockOfOthersIsContention(t *testing.T) {
	for _, mode := range []string{"read", "write"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				w.server.HSet("orders", "mode", mode, somebody, "1", somebody+"0", "2")
				w.server.SetTTL("orders", 5*time.Second)
				_, err := lock.TryLock(t.Context(), 0)
				require.ErrorIs(t, err, rlock.ErrNotAcquired)

				info, err := lock.Inspect(t.Context())
				require.NoError(t, err)
				assert.Equal(t, rlock.Info{Locked: true, ReadWrite: true, TTL: 5 * time.Second}, info)
				held, err := lock.IsHeld(t.Context())
				require.NoError(t, err)
				assert.False(t, held)

				start := time.Now()
				must(t)(lock.Lock(t.Context()))
				went(t, start, 5*time.Second+time.Millisecond)
			})
		})
	}
}

func TestReadWriteLockOfItsOwnIsRefusedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		lock := client.NewLock("orders")
		owner := rlock.NewOwner()
		ctx := rlock.WithOwner(t.Context(), owner)
		w.server.HSet("orders", "mode", "read", client.ID()+":"+owner.String(), "1", somebody, "1")
		w.server.SetTTL("orders", time.Minute)
		start := time.Now()
		for call, acquire := range acquisitions {
			err := acquire(ctx, lock)
			require.ErrorContains(t, err, "read-write lock", call)
			require.NotErrorIs(t, err, rlock.ErrNotAcquired)
		}
		went(t, start, 0)
		assert.Equal(t, "1", w.server.HGet("orders", somebody))
	})
}

func TestLockThatBecameAReadWriteLockIsNotReleased(t *testing.T) {
	for name, options := range leases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				outer := must(t)(lock.Lock(t.Context(), options...))
				inner := must(t)(lock.Lock(t.Context(), options...))
				w.server.HSet("orders", "mode", "read", somebody, "1")
				require.ErrorContains(t, inner.Unlock(t.Context()), "read-write lock")
				require.ErrorContains(t, outer.Unlock(t.Context()), "read-write lock")
				assert.Equal(t, "1", w.server.HGet("orders", somebody))
			})
		})
	}
}

func TestLockWithoutExpiryIsContention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		w.server.HSet("orders", somebody, "1")
		_, err := lock.TryLock(t.Context(), 0)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		require.ErrorContains(t, err, "its holder's lease never ends")
		start := time.Now()
		_, err = lock.TryLock(t.Context(), time.Minute)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		went(t, start, time.Minute)
		ttl, err := lock.TTL(t.Context())
		require.NoError(t, err)
		assert.Negative(t, ttl)
	})
}

func TestWaiterForALockWithoutExpiryIsWokenAndLooksNowAndThen(t *testing.T) {
	for name, tell := range map[string]bool{"Message": true, "NoMessage": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				w.server.HSet("orders", somebody, "1")
				got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
				time.Sleep(100 * time.Second)
				w.forget()
				start := time.Now()
				w.server.Del("orders")
				if tell {
					w.server.Publish(channelName("orders"), "0")
				}
				must(t)(fields(await(t, got)))
				if tell {
					went(t, start, 0)
				}
				assert.LessOrEqual(t, time.Since(start), 30*time.Second, "a watchdog timeout")
			})
		})
	}
}

func TestRenewalGivesALockItsExpiryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders").Lock(t.Context()))
		rdb := w.connect()
		require.NoError(t, rdb.Do(t.Context(), rdb.B().Persist().Key("orders").Build()).Error())
		require.Zero(t, w.ttl("orders"))
		time.Sleep(10 * time.Second)
		assert.Equal(t, 30*time.Second, w.ttl("orders"))
		assert.NoError(t, hold.Err())
	})
}

func TestHashThatIsNoLockIsAnErrorToInspectAndContentionToLock(t *testing.T) {
	for name, fields := range map[string][]string{
		"NoNumber":   {"field", "value"},
		"ManyFields": {somebody, "1", somebody + "0", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				w.server.HSet("orders", fields...)
				_, err := lock.TryLock(t.Context(), 0)
				require.ErrorIs(t, err, rlock.ErrNotAcquired)
				_, err = lock.Inspect(t.Context())
				require.ErrorContains(t, err, "the hash at its name is not that of a lock")
			})
		})
	}
}

func TestStrangeMessagesWakeNobodyAndBreakNothing(t *testing.T) {
	messages := map[string]string{
		"Empty": "", "Text": "unlocked", "Two": "2", "Negative": "-1", "Padded": " 0", "Zeros": "00",
		"Megabyte": strings.Repeat("0", 1<<20), "Binary": "\x00\xff\r\n",
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		holder := lockTaken(t, w)
		lock := w.lock(t, "orders")
		got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
		synctest.Wait()
		for name, message := range messages {
			w.forget()
			require.Equal(t, 1, w.server.Publish(channelName("orders"), message))
			assert.Empty(t, w.commands(), name)
			require.Empty(t, got, name)
		}
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
	})
}

func TestMessagesAreHintsAndGrantNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		holder := lockTaken(t, w)
		lock := w.lock(t, "orders")
		got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
		synctest.Wait()
		for _, message := range []string{"0", "1"} {
			w.forget()
			w.server.Publish(channelName("orders"), message)
			assert.Len(t, w.commands("EVALSHA"), 1, "it tries")
			require.Empty(t, got)
		}
		require.NoError(t, holder.Err())
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
	})
}
