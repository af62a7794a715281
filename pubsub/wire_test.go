package pubsub_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/pubsub"
)

// running returns the stacks of goroutines that are in a Hub.
func running() []string {
	buffer := make([]byte, 4<<20)
	var stacks []string
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		frames, _, _ := strings.Cut(stack, "created by ") // one that ends has no others
		if strings.Contains(frames, "/pubsub.(*") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// A wire is how the client in a bubble reaches its server.
type wire struct {
	server *miniredis.Miniredis
	hub    *pubsub.Hub
	client rueidis.Client

	down  atomic.Bool // connecting fails
	mute  atomic.Bool // nothing reaches the server
	dials chan time.Time
}

// A muteConn is a connection of a wire.
type muteConn struct {
	net.Conn
	wire   *wire
	closed atomic.Bool
}

// Write takes everything, and passes it on unless the wire is mute.
func (c *muteConn) Write(b []byte) (int, error) {
	if c.wire.mute.Load() && !c.closed.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// Close closes the connection.
func (c *muteConn) Close() error {
	c.closed.Store(true)
	return c.Conn.Close()
}

// newWire returns a hub in the bubble of t, closed when the test is over.
func newWire(t *testing.T, mutate ...func(*rueidis.ClientOption)) *wire {
	t.Helper()
	server, newClient := bubble.New(t)
	w := &wire{server: server, dials: make(chan time.Time, 10_000)}
	w.client = newClient(append(mutate, func(o *rueidis.ClientOption) {
		o.DisableRetry = true
		dial := o.DialCtxFn
		o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
			w.dials <- time.Now()
			if w.down.Load() {
				return nil, errors.New("down")
			}
			conn, err := dial(ctx, addr, d, c)
			return &muteConn{Conn: conn, wire: w}, err
		}
	})...)
	<-w.dials // of the connection for commands
	w.hub = newHubOf(t, w.client)
	return w
}

// connected reports whether the hub has a connection.
func (w *wire) connected() bool {
	synctest.Wait()
	return w.server.CurrentConnectionCount() > 1
}
