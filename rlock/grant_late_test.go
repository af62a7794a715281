package rlock_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// A delay holds back what comes on connections of a client, between begin and end.
type delay struct {
	word string // which connections: those on which this was sent; empty: that of pub/sub

	mu   sync.Mutex
	over chan struct{} // nil: nothing is held back
}

func (d *delay) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = make(chan struct{})
}

func (d *delay) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.over)
	d.over = nil
}

func (d *delay) wait() {
	d.mu.Lock()
	over := d.over
	d.mu.Unlock()
	if over != nil {
		<-over
	}
}

// A delayedConn is a connection that is delayed once its delay's word was sent on it. Whoever
// writes to it is not held up by that.
type delayedConn struct {
	net.Conn

	delay  *delay
	slow   atomic.Bool
	chunks chan []byte // that were read and not delivered yet
	rest   []byte      // of a chunk
}

func (c *delayedConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(cmp.Or(c.delay.word, "SUBSCRIBE"))) {
		c.slow.Store(true)
	}
	return c.Conn.Write(b)
}

// fill reads until the connection ends.
func (c *delayedConn) fill() {
	defer close(c.chunks)
	for {
		b := make([]byte, 4096)
		n, err := c.Conn.Read(b)
		if err != nil {
			return
		}
		c.chunks <- b[:n]
	}
}

func (c *delayedConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		c.rest = <-c.chunks
		if c.slow.Load() {
			c.delay.wait()
		}
	}
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// delayed returns a client whose messages the delay holds back.
func (w *world) delayed(t *testing.T, d *delay, options ...rlock.Option) *rlock.Client {
	t.Helper()
	return w.clientOver(t, w.connect(w.dialler, wrapping(d.wrap)), append(options, on)...)
}

// wrap makes the delay hold back what comes on a connection.
func (d *delay) wrap(conn net.Conn) net.Conn {
	delayed := &delayedConn{Conn: conn, delay: d, chunks: make(chan []byte, 100)}
	go delayed.fill()
	return delayed
}

// One owner waits in one goroutine, and finds in another that it was granted the lock,
// before the message says so. When that comes, the lock is somebody else's already.
func TestGrantIsUsedOnceHoweverLateItsMessage(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var late delay
			here, there := w.delayed(t, &late).NewLock("orders"), w.lock(t, "orders", on)
			owner := rlock.NewOwner()
			again := rlock.WithOwner(endless(t), owner)
			lock := func(ctx context.Context, lock *rlock.Lock) <-chan attempt {
				result := later(func() attempt { return attempted(lock.Lock(ctx)) })
				synctest.Wait()
				return result
			}
			first := must(t)(there.Lock(stranger(t)))
			waiting := lock(rlock.WithOwner(t.Context(), owner), here)
			next := lock(stranger(t), w.lock(t, "orders", on))

			late.begin()
			require.NoError(t, first.Unlock(t.Context())) // it is the owner's now
			synctest.Wait()
			hold := must(t)(here.TryLock(again, 0))
			w.hush()
			go func() {
				time.Sleep(time.Millisecond)
				late.end()
				time.Sleep(time.Millisecond)
				w.repair()
			}()
			require.NoError(t, hold.Unlock(again)) // it is the next one's
			for range 2 {
				var got attempt
				select {
				case got = <-waiting:
				case got = <-next:
				}
				require.NoError(t, got.err)
				time.Sleep(10 * time.Millisecond)
				if len(waiting)+len(next) > 0 {
					require.Error(t, got.hold.Err(), "two owners trust the lock")
				}
				require.NoError(t, got.hold.Unlock(t.Context()))
			}
		})
	}
}

// One owner waits in one goroutine, and tries in another. The message that the lock is
// the waiter's comes while that try is under way, whose outcome then stays unknown: the
// lock is going to be given back in the name that it was granted to.
func TestGrantIsNotAcceptedForANameThatWasRetiredMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var late delay
		here, there := w.delayed(t, &late).NewLock("orders"), w.lock(t, "orders", on)
		owner := rlock.NewOwner()
		lock := func(owner rlock.Owner, lock *rlock.Lock) <-chan attempt {
			result := later(func() attempt { return attempted(lock.Lock(rlock.WithOwner(t.Context(), owner))) })
			synctest.Wait()
			return result
		}
		first := must(t)(there.Lock(stranger(t)))
		waiting := lock(owner, here)
		next := lock(rlock.NewOwner(), w.lock(t, "orders", on))

		late.begin()
		require.NoError(t, first.Unlock(t.Context())) // it is the owner's now
		synctest.Wait()
		w.hush()
		trying := later(func() attempt { return attempted(here.TryLock(rlock.WithOwner(endless(t), owner), 0)) })
		synctest.Wait()
		late.end() // the waiter knows, and waits for its turn
		synctest.Wait()
		w.disconnect()
		requireFault(t, await(t, trying).err)
		synctest.Wait()
		require.Empty(t, waiting, "the lock is about to be given back")

		w.repair()
		for range 2 {
			var got attempt
			select {
			case got = <-waiting:
			case got = <-next:
			}
			require.NoError(t, got.err)
			time.Sleep(time.Second)
			require.NoError(t, got.hold.Err(), "it was given back under its holder")
			require.Empty(t, waiting, "two owners trust the lock")
			require.Empty(t, next, "two owners trust the lock")
			require.NoError(t, got.hold.Unlock(t.Context()))
		}
	})
}

// The owner waits again after nobody of its client did for a while. The message of a grant
// to its first call comes only now, because the connection was stuck.
func TestGrantIsNotTakenForThatOfALaterRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var late delay
		client := w.delayed(t, &late)
		here, there := client.NewLock("orders"), w.lock(t, "orders", on)
		owner := stranger(t)
		first := must(t)(there.Lock(stranger(t)))
		waiting := later(func() attempt { return attempted(here.TryLock(owner, 100*time.Millisecond)) })
		synctest.Wait()
		late.begin()
		require.NoError(t, first.Unlock(t.Context()))
		mine := must(t)(fields(<-waiting)) // it found that it is the owner
		require.NoError(t, mine.Unlock(t.Context()))
		theirs := must(t)(there.Lock(stranger(t)))

		must(t)(w.lock(t, "others", on).Lock(stranger(t)))
		other := later(func() attempt { return attempted(client.NewLock("others").TryLock(stranger(t), 5*time.Second)) })
		time.Sleep(1200 * time.Millisecond) // the channels of orders are left
		waiting = later(func() attempt { return attempted(here.Lock(owner)) })
		synctest.Wait()
		late.end()
		synctest.Wait()
		require.Empty(t, waiting, "two owners trust the lock")
		require.NoError(t, theirs.Unlock(t.Context()))
		require.NoError(t, must(t)(fields(<-waiting)).Unlock(t.Context()))
		require.Error(t, (<-other).err)
	})
}
