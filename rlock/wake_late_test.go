package rlock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// The answer to a first try says that another owner of the same client has the lock. Before
// it arrives, that owner learns that the lock is gone, of which no message tells.
func TestLossDuringTheFirstTryOfAnotherOwnerWakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		late := delay{word: "12345"}
		client := w.clientOver(t, w.connect(w.dialler, unpipelined, wrapping(late.wrap)), off, rlock.WithWatchdogTimeout(600*time.Millisecond))
		lock := client.NewLock("orders")
		hold := must(t)(lock.Lock(stranger(t)))
		_, err := lock.TryLock(stranger(t), time.Millisecond) // from now on messages are heard
		require.ErrorIs(t, err, rlock.ErrNotAcquired)

		late.begin()
		next := later(func() attempt {
			return attempted(lock.Lock(stranger(t), rlock.WithLease(12345*time.Millisecond)))
		})
		synctest.Wait()
		w.server.Del("orders")
		<-hold.Done()
		require.Equal(t, rlock.Removed, reasonOf(hold.Err()))
		start := time.Now()
		late.end()

		got := await(t, next)
		require.NoError(t, got.err)
		assert.Equal(t, start, got.at)
		require.NoError(t, got.hold.Unlock(t.Context()))
	})
}

// The inner hold has a longer lease than the outer one, and is given back. Whoever waits
// elsewhere knows of the longer lease. Then the outer one ends, of which nothing tells.
func TestWaitersOfOtherProcessesLearnThatALeaseHasBecomeShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		here, there := w.lock(t, "orders", on), w.lock(t, "orders", on)
		start := time.Now()
		must(t)(here.Lock(t.Context(), rlock.WithLease(10*time.Second)))
		inner := must(t)(here.Lock(t.Context(), rlock.WithLease(time.Hour)))
		order := make(chan string, 2)
		enlist(stranger(t), t, there, order, "there")
		enlist(stranger(t), t, w.lock(t, "orders", on), order, "third")
		require.NoError(t, inner.Unlock(t.Context()))

		await(t, order) // whichever looks first
		assert.WithinDuration(t, start.Add(10*time.Second), time.Now(), 100*time.Millisecond)
		await(t, order)
	})
}

// The holder has a long lease, and three processes know of it who wait. The first of them is served,
// and has a shorter lease, which nobody gives back. Whatever becomes of the second one meanwhile,
// the third has the lock when that lease has ended.
func TestWaitersFarBehindLearnThatTheNextLeaseIsShorter(t *testing.T) {
	const ending = 100 * time.Millisecond
	leave := map[string]func(t *testing.T, second *rlock.Client){
		"BesideOneWhoseWaitIsOver": func(*testing.T, *rlock.Client) {},
		"BesideOneThatIsClosed": func(t *testing.T, second *rlock.Client) {
			t.Helper()
			time.Sleep(5 * time.Second)
			require.NoError(t, second.Close())
		},
	}
	for name, leave := range leave {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				first, second, third := w.client(t, on), w.client(t, on), w.client(t, on)
				holder := must(t)(w.lock(t, "orders", on).Lock(stranger(t), rlock.WithLease(10*time.Minute)))
				got := waitFor(t, first, time.Hour)
				gone := waitFor(t, second, 6*time.Second)
				next := waitFor(t, third, time.Hour)

				require.NoError(t, holder.Unlock(t.Context()))
				end := await(t, got).at.Add(nextLease)
				leave(t, second)
				require.Error(t, await(t, gone).err)
				last := await(t, next)
				require.NoError(t, last.err)
				assert.WithinDuration(t, end, last.at, ending)
			})
		})
	}
	t.Run("BehindOneThatHasItNext", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			first, second, third := w.client(t, on), w.client(t, on), w.client(t, on)
			holder := must(t)(w.lock(t, "orders", on).Lock(stranger(t), rlock.WithLease(10*time.Minute)))
			line := []<-chan attempt{waitFor(t, first, time.Hour), waitFor(t, second, time.Hour), waitFor(t, third, time.Hour)}

			start := time.Now()
			require.NoError(t, holder.Unlock(t.Context()))
			for i, result := range line {
				got := await(t, result)
				require.NoError(t, got.err)
				assert.WithinDuration(t, start.Add(time.Duration(i)*nextLease), got.at, ending)
			}
		})
	})
	t.Run("BehindOneThatIsDead", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			first, third := w.client(t, on), w.client(t, on)
			holder := must(t)(w.lock(t, "orders", on).Lock(stranger(t), rlock.WithLease(10*time.Minute)))
			got := waitFor(t, first, time.Hour)
			_, err := w.server.Push("rlock_queue:{orders}", foreign+" 1 30000")
			require.NoError(t, err)
			next := waitFor(t, third, time.Hour)

			require.NoError(t, holder.Unlock(t.Context()))
			end := await(t, got).at.Add(nextLease)
			last := await(t, next)
			require.NoError(t, last.err)
			assert.WithinDuration(t, end, last.at, ending)
		})
	})
}

// nextLease is the lease of those who wait.
const nextLease = 10 * time.Second

// waitFor lets a client wait for the lock, and returns what comes of it.
func waitFor(t *testing.T, client *rlock.Client, wait time.Duration) <-chan attempt {
	t.Helper()
	result := later(func() attempt {
		return attempted(client.NewLock("orders").TryLock(stranger(t), wait, rlock.WithLease(nextLease)))
	})
	synctest.Wait()
	return result
}

// As above, but those who wait know nothing of tickets.
func TestWaitersInPublicLearnThatALeaseHasBecomeShorter(t *testing.T) {
	for name, option := range map[string]rlock.Option{"FromOneOfThem": off, "FromOneWhoHandsOver": on} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				here := w.lock(t, "orders", option)
				start := time.Now()
				must(t)(here.Lock(t.Context(), rlock.WithLease(10*time.Second)))
				inner := must(t)(here.Lock(t.Context(), rlock.WithLease(time.Hour)))
				order := make(chan string, 1)
				enlist(stranger(t), t, w.lock(t, "orders", off), order, "there")
				require.NoError(t, inner.Unlock(t.Context()))
				await(t, order)
				assert.WithinDuration(t, start.Add(10*time.Second), time.Now(), 100*time.Millisecond)
			})
		})
	}
}

// The next waiter of the same process has a short lease, and lets it end. The others wait for
// the end of the first one's.
func TestWaitersLearnThatTheNextLeaseIsShorter(t *testing.T) {
	for name, c := range map[string]struct {
		turns int
		there rlock.Option
	}{
		"HandedOver": {8, on}, "PassedOn": {1, on}, "ToThoseWithoutTickets": {8, off},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				here := w.lock(t, "orders", on, rlock.WithTurns(8, c.turns))
				first := must(t)(here.Lock(stranger(t)))
				short := later(func() attempt { return attempted(here.Lock(stranger(t), rlock.WithLease(300*time.Millisecond))) })
				synctest.Wait()
				order := make(chan string, 1)
				enlist(stranger(t), t, w.lock(t, "orders", c.there), order, "there")
				require.NoError(t, first.Unlock(t.Context()))
				start := time.Now()
				must(t)(fields(await(t, short)))
				await(t, order)
				assert.Less(t, time.Since(start), 400*time.Millisecond)
			})
		})
	}
}

// Somebody who never queued takes the lock when a grant has ended unused, before the process
// that granted it looks, and lets it end too.
func TestLockIsServedOnThoughANewcomerWasFasterThanTheGranter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := must(t)(w.lock(t, "orders", on).Lock(stranger(t)))
		granter := later(func() attempt { return attempted(w.lock(t, "orders", on).Lock(stranger(t))) })
		synctest.Wait()
		require.NoError(t, first.Unlock(t.Context()))
		got := await(t, granter)
		require.NoError(t, got.err)
		short := later(func() attempt { // it and the next know of a first lease of 3 s
			return attempted(w.lock(t, "orders", on).Lock(stranger(t), rlock.WithLease(200*time.Millisecond)))
		})
		synctest.Wait()
		order := make(chan string, 1)
		enlist(stranger(t), t, w.lock(t, "orders", on), order, "last")
		newcomer := w.lock(t, "orders", on)

		require.NoError(t, got.hold.Unlock(t.Context()))
		start := time.Now()
		must(t)(fields(await(t, short)))
		time.Sleep(202 * time.Millisecond)
		must(t)(newcomer.TryLock(stranger(t), 0, rlock.WithLease(50*time.Millisecond)))
		await(t, order)
		assert.Less(t, time.Since(start), 350*time.Millisecond)
	})
}
