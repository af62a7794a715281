package rlock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
	"github.com/go-rlock/rlock/watchdog"
)

// A move opens a hold, closes one, or lets time pass.
type move struct {
	open  time.Duration // the lease; watched: none
	close int           // the number of the hold, counted from 1
	pass  time.Duration
	want  time.Duration // the lock's TTL afterwards; 0: free
}

const watched time.Duration = -1

func TestServersLeaseIsTheLongestOfTheHoldsThatRemain(t *testing.T) {
	const s = time.Second
	sequences := map[string][]move{
		"LongFixedInWatchedInnerFirst": {{open: watched, want: 30 * s}, {open: 60 * s, want: 60 * s}, {close: 2, want: 30 * s}, {close: 1}},
		"LongFixedInWatchedOuterFirst": {
			{open: watched, want: 30 * s},
			{open: 60 * s, want: 60 * s},
			{pass: 5 * s, want: 55 * s},
			{close: 1, want: 55 * s},
			{pass: 40 * s, want: 15 * s},
			{close: 2},
		},
		"ShortFixedInWatchedInnerFirst": {{open: watched, want: 30 * s}, {open: 5 * s, want: 30 * s}, {pass: s, want: 29 * s}, {close: 2, want: 30 * s}, {close: 1}},
		"ShortFixedInWatchedOuterFirst": {{open: watched, want: 30 * s}, {open: 5 * s, want: 30 * s}, {pass: s, want: 29 * s}, {close: 1, want: 4 * s}, {close: 2}},
		"WatchedInShortFixedInnerFirst": {{open: 5 * s, want: 5 * s}, {open: watched, want: 30 * s}, {pass: s, want: 29 * s}, {close: 2, want: 4 * s}, {close: 1}},
		"WatchedInShortFixedOuterFirst": {{open: 5 * s, want: 5 * s}, {open: watched, want: 30 * s}, {pass: s, want: 29 * s}, {close: 1, want: 30 * s}, {close: 2}},
		"WatchedInLongFixed": {
			{open: 60 * s, want: 60 * s},
			{open: watched, want: 60 * s},
			{pass: 10 * s, want: 50 * s},
			{pass: 20 * s, want: 30 * s},
			{pass: 25 * s, want: 25 * s},
			{close: 2, want: 5 * s},
			{close: 1},
		},
		"ShorterFixedDoesNotShorten":   {{open: 20 * s, want: 20 * s}, {open: 10 * s, want: 20 * s}, {pass: 5 * s, want: 15 * s}, {close: 2, want: 15 * s}, {close: 1}},
		"LongerFixedEndsWithItsUnlock": {{open: 10 * s, want: 10 * s}, {open: 20 * s, want: 20 * s}, {pass: 5 * s, want: 15 * s}, {close: 2, want: 5 * s}, {close: 1}},
		"ThreeDeepMiddleOut": {
			{open: 10 * s, want: 10 * s},
			{open: watched, want: 30 * s},
			{open: 100 * s, want: 100 * s},
			{close: 2, want: 100 * s},
			{pass: s, want: 99 * s},
			{close: 3, want: 9 * s},
			{close: 1},
		},
		"WatchedOnlyIsRenewed": {{open: watched, want: 30 * s}, {open: watched, want: 30 * s}, {close: 1, want: 30 * s}, {pass: 9 * s, want: 21 * s}, {pass: s, want: 30 * s}, {close: 2}},
	}
	for name, ctx := range contexts {
		for sequence, moves := range sequences {
			t.Run(sequence+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					walk(ctx(t), t, w, w.lock(t, "orders"), moves)
				})
			})
		}
	}
}

func walk(ctx context.Context, t *testing.T, w *world, lock *rlock.Lock, moves []move) {
	t.Helper()
	var holds []*rlock.Hold
	open := 0
	for i, s := range moves {
		switch {
		case s.open > 0:
			holds = append(holds, must(t)(lock.Lock(ctx, rlock.WithLease(s.open))))
			open++
		case s.open == watched:
			holds = append(holds, must(t)(lock.Lock(ctx)))
			open++
		case s.close > 0:
			require.NoError(t, holds[s.close-1].Unlock(ctx), "move %d", i)
			open--
		default:
			time.Sleep(s.pass)
		}
		require.Equal(t, s.want, w.ttl("orders"), "after move %d", i)
		count, err := lock.HoldCount(ctx)
		require.NoError(t, err)
		require.Equal(t, open, count, "after move %d", i)
		for _, h := range holds {
			require.NoError(t, h.Err())
		}
	}
}

func TestFixedHoldEndsAloneInsideAWatchedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		outer := must(t)(lock.Lock(t.Context()))
		inner := must(t)(lock.Lock(t.Context(), rlock.WithLease(5*time.Second)))
		<-inner.Done()
		went(t, start, 5*time.Second-watchdog.Margin(5*time.Second))
		assert.Equal(t, rlock.Expired, reasonOf(inner.Err()))
		require.NoError(t, outer.Err())

		time.Sleep(time.Minute)
		require.NoError(t, outer.Err())
		require.ErrorIs(t, inner.Unlock(t.Context()), rlock.ErrLost)
		require.NoError(t, outer.Unlock(t.Context()))
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestLastHoldThatIsFixedIsNotRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		outer := must(t)(lock.Lock(t.Context()))
		inner := must(t)(lock.Lock(t.Context(), rlock.WithLease(time.Minute)))
		time.Sleep(25 * time.Second)
		require.NoError(t, outer.Unlock(t.Context()))
		<-inner.Done()
		went(t, start, time.Minute-watchdog.Margin(time.Minute))
		assert.Equal(t, watchdog.Margin(time.Minute), w.ttl("orders"))
	})
}

func TestReentryAfterAnInnerHoldExpiredCountsOnlyLivingHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		outer := must(t)(lock.Lock(t.Context()))
		expired := must(t)(lock.Lock(t.Context(), rlock.WithLease(time.Second)))
		<-expired.Done()
		inner := must(t)(lock.Lock(t.Context()))
		require.NoError(t, outer.Err(), "nobody took it away")
		count, err := lock.HoldCount(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, count)

		require.NoError(t, outer.Unlock(t.Context()))
		require.NoError(t, inner.Err())
		require.NoError(t, inner.Unlock(t.Context()))
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestHoldsExpireOneByOneAndTheLastTakesTheLockAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		start := time.Now()
		long := must(t)(lock.Lock(t.Context(), rlock.WithLease(20*time.Second)))
		short := must(t)(lock.Lock(t.Context(), rlock.WithLease(10*time.Second)))
		<-short.Done()
		went(t, start, 10*time.Second-watchdog.Margin(10*time.Second))
		_, err := lock.TryLock(stranger(t), 0)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		<-long.Done()
		went(t, start, 20*time.Second-watchdog.Margin(20*time.Second))
		time.Sleep(watchdog.Margin(20 * time.Second))
		must(t)(lock.TryLock(stranger(t), 0))
	})
}

// Another name on the wire would be another owner, from which the hold keeps the lock.
func TestHoldThatBeginsWhenTheEarlierOneExpiresIsReentered(t *testing.T) {
	for kind, ctx := range contexts {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				owner := rlock.WithOwner(ctx(t), rlock.NewOwner())
				first := must(t)(lock.Lock(owner, rlock.WithLease(time.Second), rlock.WithMinHold(time.Second)))
				time.Sleep(980 * time.Millisecond)
				w.hush()
				locking := later(func() attempt { return attempted(lock.Lock(owner)) })
				<-first.Done() // so that its name is not used again
				w.repair()     // and the server has it until its lease ends
				second := must(t)(fields(await(t, locking)))

				n, err := lock.HoldCount(owner)
				require.NoError(t, err)
				assert.Equal(t, 1, n)
				third := must(t)(lock.TryLock(owner, 0))
				require.NoError(t, second.Unlock(owner))
				require.NoError(t, third.Err())
				require.NoError(t, lock.Unlock(owner))
				_, err = lock.TryLock(stranger(t), 0)
				require.NoError(t, err)
			})
		})
	}
}
