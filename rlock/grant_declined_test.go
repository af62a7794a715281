package rlock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/rlock"
)

// A slowContext is that of a goroutine which is slow to notice that it has ended: not
// before noticed is closed.
type slowContext struct {
	context.Context

	noticed chan struct{}
}

func (c slowContext) Err() error {
	err := c.Context.Err()
	if err != nil {
		<-c.noticed
	}
	return err
}

// A quitter is a waiter that gives up.
type quitter struct {
	slowContext

	cancel context.CancelFunc
}

func newQuitter(t *testing.T, owner rlock.Owner) quitter {
	t.Helper()
	ctx, cancel := context.WithCancel(rlock.WithOwner(t.Context(), owner))
	return quitter{slowContext{ctx, make(chan struct{})}, cancel}
}

// end ends the context, which the waiter does not notice yet.
func (q quitter) end() {
	q.cancel()
	synctest.Wait()
}

// notice makes the waiter leave.
func (q quitter) notice() {
	close(q.noticed)
	synctest.Wait()
}

func (q quitter) leave() {
	q.cancel()
	q.notice()
}

// An owner waits in two goroutines, which give up, and is granted the lock meanwhile. The
// second one has not noticed yet that its context has ended when the lock is left to it.
func TestGrantThatIsLeftToAWaiterWhoGivesUpIsPassedOnAtOnce(t *testing.T) {
	type scene struct {
		*world

		late        delay
		here        *rlock.Lock
		first       *rlock.Hold // of another process
		order       chan string
		quick, slow quitter
	}
	for name, play := range map[string]func(t *testing.T, s *scene){
		// The place in the queue is that of the first, and so is the message.
		"Message": func(t *testing.T, s *scene) {
			t.Helper()
			enlist(s.quick, t, s.here, s.order, "quick")
			enlist(s.slow, t, s.here, s.order, "slow")
			enlist(stranger(t), t, s.lock(t, "orders", on), s.order, "next")
			s.slow.end()
			s.late.begin()
			require.NoError(t, s.first.Unlock(t.Context()))
			synctest.Wait()
			s.quick.leave()
			s.late.end()
			synctest.Wait()
		},
		// The first finds out when it takes its place in the queue back.
		"Withdrawal": func(t *testing.T, s *scene) {
			t.Helper()
			enlist(s.quick, t, s.here, s.order, "quick")
			s.late.begin()
			t.Cleanup(s.late.end)
			require.NoError(t, s.first.Unlock(t.Context()))
			synctest.Wait()
			s.hush()
			s.quick.leave()
			enlist(stranger(t), t, s.here, s.order, "next")
			enlist(s.slow, t, s.here, s.order, "slow")
			s.slow.end()
			s.repair()
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scene{world: newWorld(t), order: make(chan string, 3)}
				s.here = s.delayed(t, &s.late).NewLock("orders")
				s.first = must(t)(s.lock(t, "orders", on).Lock(stranger(t)))
				owner := rlock.NewOwner()
				s.quick, s.slow = newQuitter(t, owner), newQuitter(t, owner)
				play(t, s)
				require.Empty(t, s.order)
				start := time.Now()
				s.slow.notice()
				require.Equal(t, "next", await(t, s.order))
				went(t, start, 0)
			})
		})
	}
}

// A waiter that cannot use what it was granted, because the first lease does not cover its
// minimum, asks for the lock. The server is loading, and the waiter gives up.
func TestGrantOfAWaiterWhoTriedInVainIsPassedOnWhenItGivesUp(t *testing.T) {
	for name, c := range map[string]struct{ outage, soon time.Duration }{
		"Answered":                    {0, 100 * time.Millisecond},
		"RefusedBeyondTheGracePeriod": {1500 * time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var late delay
				here := w.delayed(t, &late).NewLock("orders")
				first := must(t)(w.lock(t, "orders", on).Lock(stranger(t)))
				ctx, cancel := context.WithCancel(stranger(t))
				waiting := later(func() attempt { return attempted(here.Lock(ctx, rlock.WithMinHold(time.Minute))) })
				synctest.Wait()
				order := make(chan string, 1)
				enlist(stranger(t), t, w.lock(t, "orders", on), order, "next")

				late.begin()
				require.NoError(t, first.Unlock(t.Context()))
				synctest.Wait()
				w.refuse(loading)
				late.end()
				synctest.Wait()
				cancel()
				require.ErrorIs(t, await(t, waiting).err, context.Canceled)
				time.Sleep(c.outage)
				w.repair()
				start := time.Now()
				require.Equal(t, "next", await(t, order))
				assert.Less(t, time.Since(start), c.soon)
			})
		})
	}
}

// The waiter in front is claimed for a lock that its process has lost without knowing. It is
// served by the one who has it, and gives up, before that turns out.
func TestGrantOfAWaiterWhoGivesUpWhileItIsClaimedIsPassedOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		passed := make(chan struct{})
		here := w.clientOver(t, lateClient{w.connect(w.dialler), passed}, on).NewLock("orders")
		rdb := w.connect()
		defer rdb.Close()
		_, err := lua.Pass(t.Context(), rdb, lua.Passing{Key: "others", Queue: "queue", Tail: "{others}", Owner: somebody})
		require.NoError(t, err) // so that the server knows the script

		w.server.HSet("orders", somebody, "1")
		w.server.SetTTL("orders", time.Minute)
		order := make(chan string, 2)
		ctx, leave := context.WithCancel(stranger(t))
		enlist(ctx, t, here, order, "gone")
		enlist(stranger(t), t, here, order, "here")
		w.server.Del("orders")
		mine := must(t)(here.TryLock(stranger(t), 0))
		w.server.Del("orders")
		theirs := must(t)(w.lock(t, "orders", on).TryLock(stranger(t), 0))
		releasing := later(func() error { return mine.Unlock(t.Context()) })
		synctest.Wait()
		require.NoError(t, theirs.Unlock(t.Context()))
		synctest.Wait()
		leave()
		synctest.Wait()

		start := time.Now()
		close(passed)
		require.ErrorIs(t, await(t, releasing), rlock.ErrLost)
		require.Equal(t, "here", await(t, order))
		went(t, start, 0)
	})
}

// A ticket is served that its owner does not know of any more, who has come back, is in front and
// about to try: the try finds what the ticket has brought, though it is the first since.
func TestOwnerWhoComesBackHasWhatItsForgottenTicketBrings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client, owner := w.client(t, on), stranger(t)
		lock := client.NewLock("orders")
		hold := must(t)(lock.Lock(owner))
		info, err := lock.Inspect(t.Context())
		require.NoError(t, err)
		require.NoError(t, hold.Unlock(owner))

		theirs := must(t)(w.lock(t, "orders", on).Lock(stranger(t)))
		_, err = lock.TryLock(stranger(t), 100*time.Millisecond) // so that the client listens
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		_, err = w.server.Push("rlock_queue:{orders}", info.Owner+" 1 30000")
		require.NoError(t, err)
		require.Equal(t, 1, w.server.Publish("rlock_beacon:{orders}", "public"))
		synctest.Wait() // for a moment, nobody tries
		waiting := later(func() attempt { return attempted(lock.Lock(owner)) })
		synctest.Wait()
		began := time.Now()
		require.NoError(t, theirs.Unlock(t.Context()))
		got := await(t, waiting)
		require.NoError(t, got.err)
		went(t, began, 0)
		require.NoError(t, got.hold.Unlock(owner))
	})
}
