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
	for _, c := range []struct {
		name   string
		holder func(s sides) func(*testing.T, time.Duration) owner
	}{
		{name: "OfAHoldThere", holder: func(s sides) func(*testing.T, time.Duration) owner { return s.other }},
		{name: "OfAHoldHere", holder: func(s sides) func(*testing.T, time.Duration) owner { return s.one }},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, s sides) {
				name := fresh(t)
				operator, waiter := s.one(t, defaultWatchdog), s.other(t, defaultWatchdog)
				holder := c.holder(s)(t, defaultWatchdog)
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
		})
	}
}

func TestGoHolderLearnsOfAForcedReleaseByJava(t *testing.T) {
	inEachMode(t, func(t *testing.T, options ...rlock.Option) {
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
