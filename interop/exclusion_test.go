//go:build interop

package interop_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

func TestSidesExcludeEachOther(t *testing.T) {
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
			require.NoError(t, one.lock(name))
			assertResult(t, false)(other.tryLock(name))
			assertResult(t, false)(other.tryLockWithin(name, 50*time.Millisecond))
			assertResult(t, false)(other.tryLockWithLease(name, time.Millisecond, time.Hour))
			assertResult(t, true)(other.isLocked(name))
			assertResult(t, false)(other.isHeld(name))
			require.ErrorIs(t, other.unlock(name), rlock.ErrNotHeld)
			assertResult(t, true)(one.isHeld(name))
			assert.Equal(t, map[string]string{one.field(name): "1"}, hash(t, name))

			require.NoError(t, one.unlock(name))
			assertResult(t, false)(other.isLocked(name))
			assertResult(t, true)(other.tryLock(name))
			assertResult(t, false)(one.tryLock(name))
			require.ErrorIs(t, one.unlock(name), rlock.ErrNotHeld)
			require.NoError(t, other.unlock(name))
			isFree(t, name)
		})
	}
}

func TestReleaseWakesTheOtherSide(t *testing.T) {
	const rounds = 15
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			one, other := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
			took := make([]time.Duration, rounds)
			for i := range took {
				name := fresh(t)
				require.NoError(t, one.lock(name))
				waiting := wait(t, other, name)
				released := time.Now()
				require.NoError(t, one.unlock(name))
				took[i] = await(t, waiting).at.Sub(released) // it fails if the lease has to end first
				require.NoError(t, other.unlock(name))
				isFree(t, name)
			}
			slices.Sort(took)
			t.Logf("from unlock to lock: median %v, longest %v", took[rounds/2], took[rounds-1])
			// A single one may be late on a busy machine.
			assert.Less(t, took[rounds/2], 100*time.Millisecond)
		})
	}
}

func TestBoundedWaitOfTheOtherSideIsWokenToo(t *testing.T) {
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
			require.NoError(t, one.lock(name))
			ended := inBackground(func() error {
				got, err := other.tryLockWithin(name, limit)
				assert.True(t, got)
				return err
			})
			eventually(t, "it waits", func() bool { return waiters(t, name) > 0 })
			require.NoError(t, one.unlock(name))
			await(t, ended)
			require.NoError(t, other.unlock(name))
			isFree(t, name)
		})
	}
}

func TestOtherSideSeesEveryHold(t *testing.T) {
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
			watcher := newGoOwner(t).at(name)
			holds := func(want int, text string) {
				t.Helper()
				assert.Equal(t, map[string]string{one.field(name): text}, hash(t, name))
				assertResult(t, want)(one.holdCount(name))
				assertResult(t, 0)(other.holdCount(name))
				info, err := watcher.Inspect(t.Context())
				require.NoError(t, err)
				assert.Equal(t, one.field(name), info.Owner)
				assert.Equal(t, want, info.Holds)
			}
			require.NoError(t, one.lock(name))
			holds(1, "1")
			require.NoError(t, one.lockWithLease(name, time.Minute))
			holds(2, "2")
			assertResult(t, true)(one.tryLock(name))
			holds(3, "3")
			waiter := s.other(t, defaultWatchdog)
			waiting := wait(t, waiter, name)
			for _, left := range []string{"2", "1"} {
				require.NoError(t, one.unlock(name))
				holds(int(left[0]-'0'), left)
				assertResult(t, false)(newGoOwner(t).tryLock(name))
			}
			assert.Empty(t, waiting, "the other one has it before the last hold was given back")
			require.NoError(t, one.unlock(name))
			await(t, waiting)
			require.NoError(t, waiter.unlock(name))
			isFree(t, name)
		})
	}
}

func TestManyHandsAcrossSides(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			first := newGoOwner(t, options...)
			jvm := shared.connect(t, server.Addr(), defaultWatchdog)
			require.NoError(t, first.lock(name))
			ended := make(chan event)
			for i := range 6 {
				o := owner(anotherGoOwner(t, first.client))
				if i%2 == 0 {
					o = jvm.owner(string(rune('a' + i)))
				}
				go func() {
					err := o.lock(name)
					if err == nil {
						err = o.unlock(name)
					}
					ended <- event{err: err}
				}()
			}
			eventually(t, "both sides wait", func() bool { return waiters(t, name) >= 2 })
			require.NoError(t, first.unlock(name))
			for range 6 {
				await(t, ended)
			}
			isFree(t, name)
		})
	}
}

// assertResult returns a function that takes the results of a call, which must be the
// given one and no error.
func assertResult[T any](t *testing.T, want T) func(T, error) {
	t.Helper()
	return func(got T, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}
