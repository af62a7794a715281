package rlock_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

const queueOfOrders = "rlock_queue:{orders}"

// A pair is two processes that lock in turn, each with one owner.
type pair struct {
	*world

	here, there       *rlock.Lock
	oneself, somebody context.Context //nolint:containedctx // it names the owner
}

func newPair(t *testing.T) *pair {
	t.Helper()
	w := newWorld(t)
	return &pair{w, w.lock(t, "orders", on), w.lock(t, "orders", on), stranger(t), stranger(t)}
}

// takeOver makes the owner wait for the lock, lets the hold go, and returns the owner's.
func takeOver(ctx context.Context, t *testing.T, lock *rlock.Lock, hold *rlock.Hold, options ...rlock.LockOption) *rlock.Hold {
	t.Helper()
	got := later(func() attempt { return attempted(lock.Lock(ctx, options...)) })
	synctest.Wait()
	require.NoError(t, hold.Unlock(t.Context()))
	return must(t)(fields(await(t, got)))
}

// part returns the hold of somebody who was handed the lock while a place was kept for
// oneself, who was back at once before.
func (p *pair) part(t *testing.T) *rlock.Hold {
	t.Helper()
	hold := must(t)(p.here.Lock(p.oneself))
	for range 2 { // the first time it does not listen yet
		hold = takeOver(p.somebody, t, p.there, hold)
		hold = takeOver(p.oneself, t, p.here, hold)
	}
	hold = takeOver(p.somebody, t, p.there, hold)
	require.Equal(t, 1, p.tickets(t), "of whom a place is kept for")
	return hold
}

// tickets returns how many lie in the queue.
func (p *pair) tickets(t *testing.T) int {
	t.Helper()
	synctest.Wait()
	if !p.server.Exists(queueOfOrders) {
		return 0
	}
	tickets, err := p.server.List(queueOfOrders)
	require.NoError(t, err)
	return len(tickets)
}

// loop lets each of the processes take and release the lock again and again.
func (w *world) loop(t *testing.T, processes, turns int) {
	t.Helper()
	var work sync.WaitGroup
	for range processes {
		lock := w.lock(t, "orders", on)
		work.Go(func() {
			ctx := stranger(t)
			for range turns {
				h, err := lock.Lock(ctx)
				if !assert.NoError(t, err) || !assert.NoError(t, h.Unlock(ctx)) {
					return
				}
			}
		})
	}
	work.Wait()
}

func TestOwnersThatAreBackAtOnceNeedOneScriptEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const processes, turns = 8, 50
		w.loop(t, processes, turns)
		assert.Less(t, len(w.commands("EVAL", "EVALSHA")), processes*turns*3/2)
	})
}

// With two processes the ticket is often served before its owner is back.
func TestOwnersThatAreBackJustTooLateKeepWhatTheyGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { newWorld(t).loop(t, 2, 500) })
}

func TestPlaceThatIsKeptInVainDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		hold := p.part(t)
		began := time.Now()
		hold = takeOver(stranger(t), t, p.lock(t, "orders", on), hold) // for there it is kept now
		hold = takeOver(stranger(t), t, p.lock(t, "orders", on), hold)
		went(t, began, 0)
		require.Zero(t, p.tickets(t))

		// Who was not back in time does not find a place again.
		time.Sleep(10 * time.Millisecond)
		hold = takeOver(p.oneself, t, p.here, hold)
		hold = takeOver(stranger(t), t, p.lock(t, "orders", on), hold)
		require.Zero(t, p.tickets(t))
		require.NoError(t, hold.Unlock(t.Context()))
	})
}

func TestPlaceIsGivenUpWhenItsOwnerIsNotBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		hold := p.part(t)
		time.Sleep(time.Millisecond)
		require.Zero(t, p.tickets(t))
		require.NoError(t, hold.Unlock(t.Context()))
		p.takenAndReleased(t)
	})
}

func TestPlaceIsGivenUpByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t, on)
		p := &pair{w, client.NewLock("orders"), w.lock(t, "orders", on), stranger(t), stranger(t)}
		hold := p.part(t)
		require.NoError(t, client.Close())
		require.Zero(t, p.tickets(t))
		require.NoError(t, hold.Unlock(t.Context()))
		p.here = p.there
		p.takenAndReleased(t)
	})
}

func TestPlaceIsForTheLeaseThatItWasLeftFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		hold := p.part(t)
		began := time.Now()
		short := takeOver(p.oneself, t, p.here, hold, rlock.WithLease(500*time.Millisecond))
		require.LessOrEqual(t, p.ttl("orders"), 500*time.Millisecond)
		<-short.Done()
		require.LessOrEqual(t, time.Since(began), 500*time.Millisecond)
		require.Equal(t, rlock.Expired, reasonOf(short.Err()))
		time.Sleep(time.Second)
		p.takenAndReleased(t)
	})
}

func TestPlaceIsOfNoUseToOneWhoDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		hold := p.part(t)
		_, err := p.here.TryLock(p.oneself, 0)
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		began := time.Now()
		require.NoError(t, hold.Unlock(t.Context()))
		synctest.Wait()
		p.takenAndReleased(t)
		went(t, began, 0)
	})
}

// An owner may be back at the very moment at which its ticket is served.
func TestOwnerIsBackWhileItsPlaceIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		for range 10 {
			hold := p.part(t)
			done := later(func() error { return hold.Unlock(t.Context()) })
			mine := must(t)(p.here.Lock(p.oneself))
			require.NoError(t, await(t, done))
			require.NoError(t, mine.Unlock(t.Context()))
			time.Sleep(2 * time.Second)
			require.Zero(t, p.tickets(t))
			require.False(t, p.server.Exists("orders"))
		}
	})
}

// takenAndReleased requires that the lock is free for both, and that nothing is left of it.
func (p *pair) takenAndReleased(t *testing.T) {
	t.Helper()
	for _, lock := range []*rlock.Lock{p.there, p.here} {
		hold := must(t)(lock.TryLock(stranger(t), 0))
		require.NoError(t, hold.Unlock(t.Context()))
	}
	synctest.Wait()
	require.False(t, p.server.Exists("orders"))
	require.False(t, p.server.Exists(queueOfOrders))
}
