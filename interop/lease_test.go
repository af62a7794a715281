//go:build interop

package interop_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

func TestOtherSideSeesTheLeaseOfTheWatchdog(t *testing.T) {
	const watchdog = 1500 * time.Millisecond
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := s.one(t, watchdog), s.other(t, defaultWatchdog)
			require.NoError(t, one.lock(name))
			renewals, last := 0, watchdog
			eventually(t, "it is renewed four times, in more than a lease", func() bool {
				ttl, err := other.ttl(name)
				require.NoError(t, err)
				require.Positive(t, ttl, "the lease ended under its watchdog")
				require.LessOrEqual(t, ttl, watchdog)
				if ttl > last {
					renewals++
				}
				last = ttl
				return renewals == 4
			})
			assertResult(t, false)(other.tryLock(name))
			require.NoError(t, one.unlock(name))
			assertResult(t, time.Duration(0))(other.ttl(name))
		})
	}
}

func TestOtherSideSeesALeaseOfItsOwn(t *testing.T) {
	const lease = time.Hour
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
			require.NoError(t, one.lockWithLease(name, lease))
			ttl, err := other.ttl(name)
			require.NoError(t, err)
			assert.LessOrEqual(t, ttl, lease)
			assert.Greater(t, ttl, lease-limit)
			require.NoError(t, one.unlock(name))
		})
	}
}

func TestEndOfALeaseLetsTheOtherSideIn(t *testing.T) {
	const lease = 700 * time.Millisecond
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
			began := time.Now()
			require.NoError(t, one.lockWithLease(name, lease))
			got := await(t, inBackground(func() error { return other.lock(name) }))
			assert.GreaterOrEqual(t, got.at.Sub(began), lease)
			assertResult(t, false)(one.isHeld(name))
			require.ErrorIs(t, one.unlock(name), rlock.ErrNotHeld)
			assertResult(t, true)(other.isHeld(name))
			require.NoError(t, other.unlock(name))
			isFree(t, name)
		})
	}
}

func TestBoundedWaitForTheOtherSideEndsInVain(t *testing.T) {
	const patience = 300 * time.Millisecond
	t.Parallel()
	for way, s := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
			require.NoError(t, one.lock(name))
			began := time.Now()
			assertResult(t, false)(other.tryLockWithin(name, patience))
			assert.GreaterOrEqual(t, time.Since(began), patience)
			require.NoError(t, one.unlock(name))
			isFree(t, name) // nobody was handed it who had left
			assertResult(t, true)(one.tryLock(name))
			require.NoError(t, one.unlock(name))
		})
	}
}

func TestGoHoldEndsWithItsLeaseForJava(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			here, java := newGoOwner(t, options...), newJavaOwner(t, defaultWatchdog)
			hold, err := here.at(name).Lock(here.ctx, rlock.WithLease(500*time.Millisecond))
			require.NoError(t, err)
			waiting := wait(t, java, name)
			await(t, waiting)
			require.ErrorIs(t, hold.Err(), rlock.ErrLost, "it has not ended although Java has the lock")
			<-hold.Done()
			require.ErrorIs(t, hold.Unlock(here.ctx), rlock.ErrLost)
			assertResult(t, true)(java.isHeld(name))
			require.NoError(t, java.unlock(name))
		})
	}
}

// A Java waiter knows the watchdog's lease, and would sleep for as long, if nobody told it
// that the lock ends sooner.
func TestJavaGetsALockWhenItsMinimumHoldIsOver(t *testing.T) {
	const least = 500 * time.Millisecond
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			one, other := newGoOwner(t, options...), newJavaOwner(t, defaultWatchdog)
			began := time.Now()
			hold, err := one.at(name).Lock(one.ctx, rlock.WithMinHold(least))
			require.NoError(t, err)
			waiting := wait(t, other, name)
			require.NoError(t, hold.Unlock(one.ctx))
			assertResult(t, false)(one.tryLock(name))
			got := await(t, waiting).at.Sub(began) // it fails if the watchdog's lease has to end first
			assert.GreaterOrEqual(t, got, least-10*time.Millisecond)
			require.NoError(t, other.unlock(name))
			isFree(t, name)
		})
	}
}
