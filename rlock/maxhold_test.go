package rlock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
	"github.com/go-rlock/rlock/watchdog"
)

func TestMaxHoldIsGivenUpInTimeAndTheLeaseNeverReachesBeyond(t *testing.T) {
	for _, limit := range []time.Duration{
		time.Millisecond * 10, 5 * time.Second, 10 * time.Second, 30 * time.Second,
		45 * time.Second, 60 * time.Second, 10 * time.Minute,
	} {
		t.Run(limit.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				start := time.Now()
				hold := must(t)(lock.Lock(t.Context(), rlock.WithMaxHold(limit)))
				look := time.NewTicker(limit / 1000)
				defer look.Stop()
				for hold.Err() == nil {
					ttl := w.ttl("orders")
					require.LessOrEqual(t, time.Since(start)+ttl, limit)
					require.Positive(t, ttl)
					select {
					case <-look.C:
					case <-hold.Done():
					}
				}
				// The margin is that of the last renewal's lease, at most 30 s.
				assert.GreaterOrEqual(t, time.Since(start), limit-watchdog.Margin(min(limit, 30*time.Second)))
				assert.LessOrEqual(t, time.Since(start), limit)
				assert.Equal(t, rlock.Expired, reasonOf(hold.Err()))
				require.ErrorIs(t, hold.Unlock(t.Context()), rlock.ErrLost)

				time.Sleep(time.Until(start.Add(limit)))
				assert.False(t, w.server.Exists("orders"))
				must(t)(lock.TryLock(stranger(t), 0))
			})
		})
	}
}

func TestMaxHoldEndsAtTheMarginOfItsLastRenewal(t *testing.T) {
	last := map[time.Duration]time.Duration{ // the time that was left at the last renewal
		5 * time.Second:  5 * time.Second,
		45 * time.Second: 5 * time.Second,
		55 * time.Second: 5 * time.Second,
	}
	for limit, rest := range last {
		t.Run(limit.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				start := time.Now()
				hold := must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithMaxHold(limit)))
				<-hold.Done()
				went(t, start, limit-watchdog.Margin(rest))
			})
		})
	}
}

func TestMaxHoldIsUnlockedLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		hold := must(t)(lock.Lock(t.Context(), rlock.WithMaxHold(45*time.Second)))
		time.Sleep(40 * time.Second)
		require.NoError(t, hold.Unlock(t.Context()))
		assert.False(t, w.server.Exists("orders"))
		time.Sleep(time.Minute)
		assert.NoError(t, hold.Err())
	})
}

func TestMaxHoldInsideAWatchedHoldEndsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		outer := must(t)(lock.Lock(t.Context()))
		inner := must(t)(lock.Lock(t.Context(), rlock.WithMaxHold(5*time.Second)))
		require.Equal(t, 30*time.Second, w.ttl("orders"))
		<-inner.Done()
		assert.Equal(t, rlock.Expired, reasonOf(inner.Err()))
		time.Sleep(time.Minute)
		require.NoError(t, outer.Err())
		require.NoError(t, outer.Unlock(t.Context()))
	})
}

func TestMaxHoldOutlivesTheWatchedHoldAroundItNoLongerThanItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		outer := must(t)(lock.Lock(t.Context()))
		must(t)(lock.Lock(t.Context(), rlock.WithMaxHold(45*time.Second)))
		time.Sleep(35 * time.Second)
		require.NoError(t, outer.Unlock(t.Context()))
		assert.Equal(t, 45*time.Second, time.Since(start)+w.ttl("orders"))
	})
}

func TestMaxHoldThatCannotBeRenewedIsLostBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		hold := must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithMaxHold(time.Hour)))
		w.disconnect()
		<-hold.Done()
		went(t, start, 30*time.Second-watchdog.Margin(30*time.Second))
		assert.Equal(t, rlock.Unreachable, reasonOf(hold.Err()))
	})
}

// No renewal would have prolonged it.
func TestMaxHoldThatIsOverDuringAFaultHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithMaxHold(20*time.Second)))
		time.Sleep(5 * time.Second)
		w.disconnect()
		<-hold.Done()
		w.repair()
		assert.Equal(t, rlock.Expired, reasonOf(hold.Err()))
	})
}
