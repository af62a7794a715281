package rlock_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// A way is that of one client to the server. It can lose scripts, while messages are heard.
type way struct {
	mu    sync.Mutex // protects what follows, and the connections' fields
	lossy bool       // no script arrives, and nobody can connect
	conns []*lossyConn
}

// use makes a client take this way.
func (y *way) use(o *rueidis.ClientOption) {
	dial := o.DialCtxFn
	o.DialCtxFn = func(ctx context.Context, addr string, dialer *net.Dialer, c *tls.Config) (net.Conn, error) {
		y.mu.Lock()
		defer y.mu.Unlock()
		if y.lossy {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		conn, err := dial(ctx, addr, dialer, c)
		if err != nil {
			return nil, err
		}
		lossy := &lossyConn{Conn: conn, way: y}
		y.conns = append(y.conns, lossy)
		return lossy, nil
	}
}

// lose loses every script from now on, or none any more.
func (y *way) lose(lossy bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.lossy = lossy
}

// cut breaks the connections that scripts take.
func (y *way) cut() {
	y.mu.Lock()
	conns := slices.DeleteFunc(slices.Clone(y.conns), func(c *lossyConn) bool { return c.pubsub })
	y.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// A lossyConn is a connection that loses scripts while its way does.
type lossyConn struct {
	net.Conn

	way    *way
	pubsub bool // it is for messages
}

func (c *lossyConn) Write(b []byte) (int, error) {
	c.way.mu.Lock()
	defer c.way.mu.Unlock()
	c.pubsub = c.pubsub || bytes.Contains(b, []byte("SUBSCRIBE"))
	if c.way.lossy && !c.pubsub {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// One owner is granted the lock in one goroutine that is about to try, while an attempt in
// another one stays unanswered: its name is retired, and what that attempt may have taken is
// given back.
func TestGrantIsNotTrustedUnderAnotherName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var y way
		here := w.clientOver(t, w.connect(w.dialler, y.use), on).NewLock("orders")
		first := must(t)(w.lock(t, "orders", on).Lock(stranger(t)))
		owner := rlock.WithOwner(t.Context(), rlock.NewOwner())
		lock := func(ctx context.Context, lock *rlock.Lock) <-chan attempt {
			result := later(func() attempt { return attempted(lock.Lock(ctx)) })
			synctest.Wait()
			return result
		}
		waiting := lock(owner, here)
		next := lock(stranger(t), w.lock(t, "orders", on))

		y.lose(true)
		unknown := later(func() attempt { return attempted(here.TryLock(owner, 0)) })
		synctest.Wait()
		w.server.Publish(channelName("orders"), "0") // so that the waiter tries, when the turn is its
		synctest.Wait()
		require.NoError(t, first.Unlock(t.Context())) // it is granted the lock
		synctest.Wait()
		y.cut()
		require.ErrorIs(t, (<-unknown).err, rlock.ErrUnavailable)
		synctest.Wait()
		require.Empty(t, waiting, "a hold of a lock that is about to be given back")
		y.lose(false)

		for range 2 {
			var got attempt
			select {
			case got = <-waiting:
			case got = <-next:
			}
			require.NoError(t, got.err)
			require.NoError(t, got.hold.Unlock(t.Context()))
		}
		synctest.Wait()
		require.False(t, w.server.Exists("orders"))
	})
}
