// Package bubble runs a Redis server inside a testing/synctest bubble, so that the
// bubble's clock drives the expiry of keys and the client's timers alike, and a test of
// hours takes no time and is right to the millisecond.
package bubble

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"
)

// New returns a server in the bubble of tb, and a function that makes clients of it. No
// socket is used. Keys expire by the bubble's clock: at the first command that comes at or
// after their time.
//
// The clients are single clients without a cache; each mutate may change their options
// before they are made. When the test is over the clients are closed, then the server, and
// none of their goroutines remains in the bubble. To see commands fail, use the server's
// SetError. Its Close cuts all connections; the next one finds it again, with its data. A
// mutate that wraps the DialCtxFn that it finds can make connecting fail.
func New(tb testing.TB) (server *miniredis.Miniredis, client func(mutate ...func(*rueidis.ClientOption)) rueidis.Client) {
	tb.Helper()
	server = miniredis.NewMiniRedis()
	server.ClockTTL(true)
	tb.Cleanup(server.Close)

	client = func(mutate ...func(*rueidis.ClientOption)) rueidis.Client {
		tb.Helper()
		option := rueidis.ClientOption{
			InitAddress:       []string{"bubble:6379"},
			ForceSingleClient: true,
			DisableCache:      true,
			DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
				conn, err := server.Dial()
				if err != nil {
					return nil, err
				}
				return buffer(conn), nil
			},
		}
		for _, m := range mutate {
			m(&option)
		}
		c, err := rueidis.NewClient(option)
		if err != nil {
			tb.Fatalf("bubble: connect: %v", err)
		}
		tb.Cleanup(c.Close)
		return c
	}
	return server, client
}

// A bufferedConn is a connection whose writes do not wait for the other side to read, as a
// socket's do not. Over a bare pipe, a client that writes many commands before it reads the
// first reply, and a server that writes that reply, would wait for each other for ever.
type bufferedConn struct {
	net.Conn
	pump sync.WaitGroup

	mu     sync.Mutex
	filled *sync.Cond // unsent or closed has changed
	unsent []byte
	closed bool
}

func buffer(conn net.Conn) *bufferedConn {
	b := &bufferedConn{Conn: conn}
	b.filled = sync.NewCond(&b.mu)
	b.pump.Go(b.send)
	return b
}

// Write takes p over and never blocks. It fails once the connection is closed.
func (b *bufferedConn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, io.ErrClosedPipe
	}
	b.unsent = append(b.unsent, p...)
	b.filled.Signal()
	return len(p), nil
}

// Close closes the connection and returns when its goroutine has ended. What has not been
// sent is dropped.
func (b *bufferedConn) Close() error {
	b.mu.Lock()
	b.closed = true
	b.filled.Signal()
	b.mu.Unlock()
	err := b.Conn.Close()
	b.pump.Wait()
	return err
}

// SetDeadline sets the deadline of Read: Write needs none.
func (b *bufferedConn) SetDeadline(t time.Time) error { return b.SetReadDeadline(t) }

// SetWriteDeadline does nothing.
func (b *bufferedConn) SetWriteDeadline(time.Time) error { return nil }

// send passes on what was written, until the connection is closed by either side.
func (b *bufferedConn) send() {
	for {
		b.mu.Lock()
		for len(b.unsent) == 0 && !b.closed {
			b.filled.Wait()
		}
		if b.closed {
			b.mu.Unlock()
			return
		}
		p := b.unsent
		b.unsent = nil
		b.mu.Unlock()

		if _, err := b.Conn.Write(p); err != nil {
			b.mu.Lock()
			b.closed = true
			b.mu.Unlock()
			return
		}
	}
}
