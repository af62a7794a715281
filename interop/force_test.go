//go:build interop

package interop_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

func TestForcedReleaseLetsTheOtherSideIn(t *testing.T) {
	t.Parallel()
	for way, s := range ways {
		for whose, newHolder := range map[string]func(*testing.T, time.Duration) owner{"OfItsOwnSide": s.one, "OfTheOtherSide": s.other} {
			t.Run(way+"/"+whose, func(t *testing.T) {
				t.Parallel()
				name := fresh(t)
				operator, waiter := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
				holder := newHolder(t, defaultWatchdog)
				require.NoError(t, holder.lock(name))
				require.NoError(t, holder.lock(name))
				waiting := wait(t, waiter, name)

				assertResult(t, true)(operator.forceUnlock(name))
				await(t, waiting)
				assertResult(t, false)(holder.isHeld(name))
				require.ErrorIs(t, holder.unlock(name), rlock.ErrNotHeld)
				assertResult(t, 1)(waiter.holdCount(name))
				require.NoError(t, waiter.unlock(name))
				isFree(t, name)
				assertResult(t, false)(operator.forceUnlock(name))
			})
		}
	}
}

func TestGoHolderLearnsOfAForcedReleaseByJava(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			here, java := newGoOwner(t, options...), newJavaOwner(t, defaultWatchdog)
			hold, err := here.at(name).Lock(here.ctx)
			require.NoError(t, err)
			waiting := wait(t, anotherGoOwner(t, here.client), name)
			assertResult(t, true)(java.forceUnlock(name))
			await(t, waiting)
			select {
			case <-hold.Done():
			case <-time.After(defaultWatchdog / 4):
				require.FailNow(t, "it has not learned of it before the next renewal")
			}
			var lost *rlock.LostError
			require.ErrorAs(t, hold.Err(), &lost)
			assert.Equal(t, rlock.Removed, lost.Reason)
		})
	}
}
