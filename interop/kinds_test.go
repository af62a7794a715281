//go:build interop

package interop_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/worker"
	"github.com/go-rlock/rlock/rlock"
)

// kinds are those of Redisson whose hash lies at the lock's own name.
var kinds = []string{"fair", "fenced", "spin", "read", "write"}

// An encounter is one of a lock in Go with another kind in Java.
type encounter struct {
	kind    string
	options []rlock.Option
}

// encounters has one for every kind in every mode.
var encounters = func() map[string]encounter {
	all := map[string]encounter{}
	for mode, options := range modes {
		for _, kind := range kinds {
			all[mode+"/"+kind] = encounter{kind: kind, options: options}
		}
	}
	return all
}()

// begin returns a name that is free and an owner on each side.
func (e encounter) begin(t *testing.T) (name string, here goOwner, java javaOwner) {
	t.Helper()
	return fresh(t), newGoOwner(t, e.options...), newJavaOwner(t, defaultWatchdog).of(e.kind)
}

func TestOtherKindsHoldIsContentionForGo(t *testing.T) {
	t.Parallel()
	for kind, e := range encounters {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name, here, java := e.begin(t)
			require.NoError(t, java.lock(name))
			require.NoError(t, java.lock(name))
			before := hash(t, name)
			assertResult(t, false)(here.tryLock(name))
			assertResult(t, false)(here.tryLockWithin(name, 50*time.Millisecond))
			assertResult(t, true)(here.isLocked(name))
			assertResult(t, false)(here.isHeld(name))
			require.ErrorIs(t, here.unlock(name), rlock.ErrNotHeld)
			ttl, err := here.ttl(name)
			require.NoError(t, err)
			assert.Positive(t, ttl)
			assert.Equal(t, before, hash(t, name))
			require.NoError(t, java.unlock(name))
			require.NoError(t, java.unlock(name))
			assertTurns(t, name, here, java)
		})
	}
}

func TestGoGetsTheLockAfterAnotherKind(t *testing.T) {
	// Not every kind publishes its release where a plain lock's waiters listen. They look
	// again when the lease ends that they know of.
	const lease = time.Second
	t.Parallel()
	for kind, e := range encounters {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name, here, java := e.begin(t)
			require.NoError(t, java.lockWithLease(name, lease))
			waiting := wait(t, here, name)
			require.NoError(t, java.unlock(name))
			await(t, waiting)
			require.NoError(t, here.unlock(name))
			assertTurns(t, name, here, java)
		})
	}
}

func TestForcedReleaseOfAnotherKindByGo(t *testing.T) {
	t.Parallel()
	for kind, e := range encounters {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name, here, java := e.begin(t)
			require.NoError(t, java.lock(name))
			assertResult(t, true)(here.forceUnlock(name))
			assertResult(t, false)(java.isHeld(name))
			_ = java.unlock(name) // whatever Redisson says to that: a fair lock says nothing
			assertTurns(t, name, here, java)
		})
	}
}

// Redisson's read-write lock looks for its own field only and so takes a plain lock
// away from whoever has it, in Java as in Go. Here the holder is told when it unlocks,
// and the other owner's part is left alone.
func TestReadWriteLockOverAGoLockIsReported(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{"read", "write"} {
				t.Run(kind, func(t *testing.T) {
					name := fresh(t)
					here, java := newGoOwner(t, options...), newJavaOwner(t, defaultWatchdog).of(kind)
					require.NoError(t, here.lock(name))
					assertResult(t, true)(java.tryLock(name))
					err := here.unlock(name)
					require.ErrorContains(t, err, "read-write lock")
					assertResult(t, true)(java.isHeld(name))
					assertResult(t, true)(here.forceUnlock(name))
					assertTurns(t, name, here, java)
				})
			}
		})
	}
}

// A fair lock keeps its line of waiters at keys beside the lock.
func TestFairLineIsLeftAloneByGo(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			here, first := newGoOwner(t, options...), newJavaOwner(t, defaultWatchdog).of("fair")
			second := first.client.owner("2").of("fair")
			require.NoError(t, first.lockWithLease(name, 2*time.Second))
			queued := inBackground(func() error { return second.lockWithLease(name, time.Second) })
			line := "redisson_lock_queue:{" + name + "}"
			eventually(t, "the second thread stands in line", func() bool { return number(t, "LLEN", line) == 1 })
			assertResult(t, false)(here.tryLock(name))
			require.NoError(t, first.unlock(name))
			await(t, queued)
			waiting := wait(t, here, name)
			require.NoError(t, second.unlock(name))
			await(t, waiting)
			require.NoError(t, here.unlock(name))
			assertTurns(t, name, here, first)
		})
	}
}

func TestKeysOfRedissonBesideTheLockAreLeftAlone(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			here, java := newGoOwner(t, options...), newJavaOwner(t, defaultWatchdog)
			beside := map[string][]string{
				"redisson_unlock_latch:{" + name + "}:00112233445566778899aabbccddeeff": {"SET", "", "1", "PX", "60000"},
				"redisson_lock_token:{" + name + "}":                                    {"SET", "", "7"},
				"redisson_lock_queue:{" + name + "}":                                    {"RPUSH", "", java.field(name)},
				"redisson_lock_timeout:{" + name + "}":                                  {"ZADD", "", "1", java.field(name)},
				"{" + name + "}:timeout":                                                {"ZADD", "", "1", "permit"},
			}
			before := map[string]any{}
			for key, command := range beside {
				command[1] = key
				server.Do(t, command...)
				before[key] = server.Do(t, "DUMP", key)
			}
			require.NoError(t, here.lock(name))
			waiting := wait(t, java, name)
			require.NoError(t, here.unlock(name))
			await(t, waiting)
			again := inBackground(func() error { return here.lock(name) })
			require.NoError(t, java.unlock(name))
			await(t, again)
			assertResult(t, true)(here.forceUnlock(name))
			for key := range beside {
				assert.Equal(t, before[key], server.Do(t, "DUMP", key), key)
			}
		})
	}
}

// Who waits in Go leaves a ticket beside the lock, and one that is killed leaves it there.
func TestTicketsBesideTheLockDisturbNobody(t *testing.T) {
	t.Parallel()
	for kind, e := range encounters {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name, here, java := e.begin(t)
			plain := java.of("plain")
			require.NoError(t, plain.lock(name))
			killed := worker.Start(t, worker.Job{Duty: worker.Obey, Server: server.Addr(), Name: name, Public: len(e.options) > 0})
			require.Equal(t, "ready", killed.Hear(t))
			require.Equal(t, "queued", killed.Ask(t, "queue "+name))
			eventually(t, "it waits", func() bool { return waiters(t, name) == 1 })
			assertResult(t, false)(here.tryLockWithin(name, 20*time.Millisecond))
			killed.Kill()

			require.NoError(t, plain.lock(name))
			require.NoError(t, plain.unlock(name))
			require.NoError(t, plain.unlock(name))
			assertTurns(t, name, here, java)
			require.NoError(t, here.lock(name))
			eventually(t, "nobody listens any more", func() bool { return waiters(t, name) == 0 })
			waiting := wait(t, java.client.owner("2"), name)
			require.NoError(t, here.unlock(name))
			await(t, waiting)
			assertResult(t, true)(plain.forceUnlock(name))
			for _, key := range keysWith(t, name) {
				if strings.HasPrefix(key, "rlock") {
					assert.Positive(t, number(t, "PTTL", key), "it stays for ever: %s", key)
				}
			}
		})
	}
}

// keysWith returns the keys that have a lock's name in theirs.
func keysWith(t *testing.T, name string) (keys []string) {
	t.Helper()
	reply, ok := server.Do(t, "KEYS", "*"+name+"*").([]any)
	require.True(t, ok)
	for _, key := range reply {
		keys = append(keys, fmt.Sprint(key))
	}
	return keys
}

func TestSemaphoreAtTheNameIsAnErrorAndNoContention(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			here, java := newGoOwner(t, options...), newJavaOwner(t, defaultWatchdog)
			require.NoError(t, java.ask("permits", name, "3").err)
			_, err := java.tryLock(name)
			require.Error(t, err)
			_, err = here.tryLock(name)
			require.ErrorContains(t, err, "WRONGTYPE")
			require.NotErrorIs(t, err, rlock.ErrNotAcquired)
			_, err = here.forceUnlock(name)
			require.ErrorContains(t, err, "WRONGTYPE")
			assert.Equal(t, "3", server.Do(t, "GET", name))
			server.Do(t, "DEL", name)
			assertTurns(t, name, here, java)
		})
	}
}

// assertTurns requires that a lock is free and that both can have it in turn, the other
// kind in Java and the plain one on both sides.
func assertTurns(t *testing.T, name string, here goOwner, java javaOwner) {
	t.Helper()
	for range 2 {
		for _, o := range []owner{here, java, java.of("plain")} {
			assertResult(t, true)(o.tryLock(name))
			require.NoError(t, o.unlock(name))
			isFree(t, name)
		}
	}
}
