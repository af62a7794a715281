package rlock_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	wire "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/rlock"
)

// A world is what one bubble contains: a server and the way to it. Its time is the
// bubble's, so that whatever takes time on a real machine takes none here.
type world struct {
	server  *miniredis.Miniredis
	connect func(...func(*rueidis.ClientOption)) rueidis.Client

	mu      sync.Mutex // protects what follows
	down    bool       // nobody can connect
	refusal string     // what the server says to everything; empty: it works
	denied  [2]string  // a command that it does not run, even in scripts, and what it says
	garbled string     // what it answers to the next script, which it does not run
	begun   map[string]chan struct{}
	silence chan struct{}
	conns   []net.Conn
	sent    []command
}

// A command is one that a client sent, or that a script called.
type command struct {
	name string
	args []string
	at   time.Time
	conn *wire.Peer
}

// newWorld returns the world of the bubble that the test runs in. When the test is over,
// every goroutine of the library must have ended: the bubble does not end before.
func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{}
	w.server, w.connect = bubble.New(tb)
	conn, err := w.server.Dial() // the server takes a hook once it runs
	require.NoError(tb, err)
	require.NoError(tb, conn.Close())
	synctest.Wait() // until the server has noticed
	w.server.Server().SetPreHook(w.hook)
	tb.Cleanup(w.repair)
	return w
}

// scripted are the commands that the scripts call.
var scripted = []string{
	"DEL", "EXISTS", "HEXISTS", "HGET", "HGETALL", "HMGET", "HSET", "LINDEX", "LLEN", "LPOP", "LPOS", "LREM", "LSET",
	"PEXPIRE", "PTTL", "PUBLISH", "PUBSUB", "RPUSH", "TIME",
}

// hook sees every command before it runs, and reports whether it must not.
func (w *world) hook(peer *wire.Peer, name string, args ...string) bool {
	w.mu.Lock()
	w.sent = append(w.sent, command{name, slices.Clone(args), time.Now(), peer})
	refusal, silence, garbled := w.refusal, w.silence, ""
	if name == "EVALSHA" {
		garbled, w.garbled = w.garbled, ""
	}
	if slices.Contains(scripted, name) { // a script that has begun is not disturbed
		refusal, silence = "", nil
	}
	if strings.HasSuffix(name, "SUBSCRIBE") { // which servers never refuse while they load
		refusal = ""
	}
	if w.denied[0] == name {
		refusal = w.denied[1]
	}
	if begun := w.begun[name]; begun != nil {
		close(begun)
		delete(w.begun, name)
	}
	w.mu.Unlock()
	if silence != nil {
		<-silence
	}
	switch {
	case refusal != "":
		peer.WriteError(refusal)
	case garbled != "":
		peer.WriteRaw(garbled)
	default:
		return false
	}
	return true
}

// client returns a client of the library, closed when the test is over, on a
// connection of its own.
func (w *world) client(tb testing.TB, options ...rlock.Option) *rlock.Client {
	tb.Helper()
	return w.clientOver(tb, w.connect(w.dialler), options...)
}

func (w *world) clientOver(tb testing.TB, rdb rueidis.Client, options ...rlock.Option) *rlock.Client {
	tb.Helper()
	c, err := rlock.New(rdb, settings(options...)...)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		w.repair()
		assert.NoError(tb, c.Close())
	})
	return c
}

// lock returns a lock of a client of its own.
func (w *world) lock(tb testing.TB, name string, options ...rlock.Option) *rlock.Lock {
	tb.Helper()
	return w.client(tb, options...).NewLock(name)
}

func (w *world) dialler(o *rueidis.ClientOption) {
	dial := o.DialCtxFn
	o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
		w.mu.Lock()
		down := w.down
		w.mu.Unlock()
		if down {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		conn, err := dial(ctx, addr, d, c)
		w.mu.Lock()
		w.conns = append(w.conns, conn)
		w.mu.Unlock()
		return conn, err
	}
}

// wrapping makes a Redis client wrap its connections.
func wrapping(wrap func(net.Conn) net.Conn) func(*rueidis.ClientOption) {
	return func(o *rueidis.ClientOption) {
		dial := o.DialCtxFn
		o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
			conn, err := dial(ctx, addr, d, c)
			if err != nil {
				return nil, err
			}
			return wrap(conn), nil
		}
	}
}

// unpipelined gives each command a connection of its own, so that nothing queues behind
// something else.
func unpipelined(o *rueidis.ClientOption) { o.DisableAutoPipelining = true }

// refuse makes the server answer commands with an error.
func (w *world) refuse(refusal string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refusal = refusal
}

// deny makes the server answer one command with an error, also in scripts.
func (w *world) deny(name, refusal string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied = [2]string{name, refusal}
}

// garble makes the server answer the next script with raw, instead of running it, once
// everything that happens now has happened.
func (w *world) garble(raw string) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.garbled = raw
}

// begins returns a channel that is closed when the next command of that name begins.
func (w *world) begins(name string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	begun := make(chan struct{})
	w.begun = map[string]chan struct{}{name: begun}
	return begun
}

// hush makes the server accept every command and answer none.
func (w *world) hush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.silence == nil {
		w.silence = make(chan struct{})
	}
}

// relent ends the silence for the commands that follow. Those that were accepted meanwhile
// are answered when the returned function is called, and when the test is over.
func (w *world) relent(tb testing.TB) (answer func()) {
	tb.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotNil(tb, w.silence)
	silence := w.silence
	w.silence = nil
	answer = sync.OnceFunc(func() { close(silence) })
	tb.Cleanup(answer)
	return answer
}

// cut breaks every connection. New ones can be made.
func (w *world) cut() {
	w.mu.Lock()
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close() // some have been closed by their owners
	}
}

// disconnect breaks every connection, and nobody can make a new one.
func (w *world) disconnect() {
	w.mu.Lock()
	w.down = true
	w.mu.Unlock()
	w.cut()
}

// repair ends all faults.
func (w *world) repair() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down, w.refusal = false, ""
	if w.silence != nil {
		close(w.silence)
		w.silence = nil
	}
}

// loading is an error of the kind that goes away by itself.
const loading = "LOADING Redis is loading the dataset in memory"

// commands returns those of the given names that the server has got, by default those
// that clients of the library send: scripts, and what concerns subscriptions.
func (w *world) commands(names ...string) []command {
	if len(names) == 0 {
		names = []string{"EVAL", "EVALSHA", "SUBSCRIBE", "UNSUBSCRIBE"}
	}
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []command
	for _, c := range w.sent {
		if slices.Contains(names, c.name) {
			found = append(found, c)
		}
	}
	return found
}

// forget empties the list of commands.
func (w *world) forget() {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = nil
}

// ttl returns the time to live of a key once everything that happens now has
// happened, 0 if it is not there.
func (w *world) ttl(key string) time.Duration {
	synctest.Wait()
	return w.server.TTL(key)
}

// listeners returns how many connections are subscribed to the lock's channel.
func (w *world) listeners(name string) int {
	synctest.Wait()
	channel := channelName(name)
	return w.server.PubSubNumSub(channel)[channel]
}

// stranger returns a context with an owner of its own.
func stranger(tb testing.TB) context.Context {
	tb.Helper()
	return rlock.WithOwner(tb.Context(), rlock.NewOwner())
}

// endless returns a context that cannot end, under which scripts run in the caller's
// goroutine.
func endless(tb testing.TB) context.Context {
	tb.Helper()
	return context.WithoutCancel(tb.Context())
}

// must returns the hold of a Lock or TryLock that succeeded.
func must(tb testing.TB) func(*rlock.Hold, error) *rlock.Hold {
	tb.Helper()
	return func(h *rlock.Hold, err error) *rlock.Hold {
		tb.Helper()
		require.NoError(tb, err)
		require.NotNil(tb, h)
		return h
	}
}

// reasonOf returns the reason of a loss, 0 if err is none.
func reasonOf(err error) rlock.Reason {
	if lost := new(rlock.LostError); errors.As(err, &lost) {
		return lost.Reason
	}
	return 0
}

// went requires how much of the bubble's time has passed since start.
func went(tb testing.TB, start time.Time, want time.Duration) {
	tb.Helper()
	require.Equal(tb, want, time.Since(start), "time that passed")
}

// later runs f in a goroutine and returns what it returned, once it did.
func later[T any](f func() T) <-chan T {
	result := make(chan T, 1)
	go func() { result <- f() }()
	return result
}

// await returns what comes, within five minutes of the bubble's time.
func await[T any](tb testing.TB, result <-chan T) T {
	tb.Helper()
	select {
	case r := <-result:
		return r
	case <-time.After(5 * time.Minute):
		require.Fail(tb, "still waiting")
		panic("unreachable")
	}
}

// An attempt is what a Lock or TryLock returned, and when.
type attempt struct {
	hold *rlock.Hold
	err  error
	at   time.Time
}

func attempted(h *rlock.Hold, err error) attempt { return attempt{h, err, time.Now()} }

func fields(a attempt) (*rlock.Hold, error) { return a.hold, a.err }

// lossOf returns the *LostError behind err.
func lossOf(tb testing.TB, err error) *rlock.LostError {
	tb.Helper()
	var lost *rlock.LostError
	require.ErrorAs(tb, err, &lost)
	return lost
}

// contexts are the two kinds of contexts that calls distinguish: one under which
// scripts run apart from the caller, and one under which they need not.
var contexts = map[string]func(tb testing.TB) context.Context{
	"ContextThatCanEnd":    testing.TB.Context,
	"ContextThatCannotEnd": endless,
}

// operations are those that ask the server, but for Hold.Unlock.
var operations = map[string]func(ctx context.Context, l *rlock.Lock) error{
	"Lock":          func(ctx context.Context, l *rlock.Lock) error { _, err := l.Lock(ctx); return err },
	"TryLock":       func(ctx context.Context, l *rlock.Lock) error { _, err := l.TryLock(ctx, time.Hour); return err },
	"TryLockNoWait": func(ctx context.Context, l *rlock.Lock) error { _, err := l.TryLock(ctx, 0); return err },
	"Unlock":        func(ctx context.Context, l *rlock.Lock) error { return l.Unlock(ctx) },
	"Do": func(ctx context.Context, l *rlock.Lock) error {
		return l.Do(ctx, func(context.Context) error { return nil })
	},
	"TryDo": func(ctx context.Context, l *rlock.Lock) error {
		return l.TryDo(ctx, time.Hour, func(context.Context) error { return nil })
	},
	"IsLocked":    func(ctx context.Context, l *rlock.Lock) error { _, err := l.IsLocked(ctx); return err },
	"IsHeld":      func(ctx context.Context, l *rlock.Lock) error { _, err := l.IsHeld(ctx); return err },
	"HoldCount":   func(ctx context.Context, l *rlock.Lock) error { _, err := l.HoldCount(ctx); return err },
	"TTL":         func(ctx context.Context, l *rlock.Lock) error { _, err := l.TTL(ctx); return err },
	"Inspect":     func(ctx context.Context, l *rlock.Lock) error { _, err := l.Inspect(ctx); return err },
	"ForceUnlock": func(ctx context.Context, l *rlock.Lock) error { _, err := l.ForceUnlock(ctx); return err },
}
