package rlock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

const (
	// soon bounds what should happen at once. It is far below every lease and wait
	// that would hide a failure, and far above what a busy machine needs.
	soon = 8 * time.Second

	// foreign is an owner of no client of the tests.
	foreign = "7a0c0f0e-0000-4000-8000-000000000000:1"
)

// patient is for tests in which a slow machine must not look like a fault of the server:
// a TryLock without waiting has no more time than the grace period.
var patient = rlock.WithGracePeriod(20 * time.Second)

// unpinged keeps a rueidis client from sending PINGs when it is idle: while one is not answered,
// nothing else is sent.
func unpinged(option *rueidis.ClientOption) { option.Dialer.KeepAlive = time.Minute }

// serial makes names unique, also when tests run more than once on one server.
var serial atomic.Int64

// uniqueName returns the name of a lock that nobody has used yet.
func uniqueName(t *testing.T) string {
	t.Helper()
	return t.Name() + ":" + strconv.FormatInt(serial.Add(1), 10)
}

// newClient returns a Client on rdb that is closed when the test is over.
func newClient(t *testing.T, rdb rueidis.Client, options ...rlock.Option) *rlock.Client {
	t.Helper()
	client, err := rlock.New(rdb, settings(options...)...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() }) // its error is tested where it is the subject
	return client
}

// oneConnection makes a rueidis client send everything through one connection.
func oneConnection(option *rueidis.ClientOption) { option.PipelineMultiplex = -1 }

// ownerContext returns a context with an owner of its own.
func ownerContext(t *testing.T) context.Context {
	t.Helper()
	return rlock.WithOwner(t.Context(), rlock.NewOwner())
}

// A call is what a Lock or TryLock in another goroutine came to.
type call struct {
	hold *rlock.Hold
	err  error
	took time.Duration
	at   time.Time
}

// inBackground runs acquire in a goroutine of its own, under an owner of its own.
func inBackground(ctx context.Context, acquire func(ctx context.Context) (*rlock.Hold, error)) <-chan call {
	done := make(chan call, 1)
	go func() {
		began := time.Now()
		hold, err := acquire(rlock.WithOwner(ctx, rlock.NewOwner()))
		at := time.Now()
		done <- call{hold, err, at.Sub(began), at}
	}()
	return done
}

// label marks the goroutines that the test starts, for awaitSleepers.
func label(t *testing.T) {
	t.Helper()
	before := context.Background()
	pprof.SetGoroutineLabels(pprof.WithLabels(before, pprof.Labels("test", t.Name())))
	t.Cleanup(func() { pprof.SetGoroutineLabels(before) })
}

// awaitSleepers returns when n goroutines that the test has started since label wait for
// locks.
func awaitSleepers(t *testing.T, n int) {
	t.Helper()
	mark := fmt.Sprintf("# labels: {%q:%q}", "test", t.Name())
	until(t, soon, strconv.Itoa(n)+" goroutines wait", func() bool {
		var profile bytes.Buffer
		require.NoError(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
		sleepers := 0
		for group := range strings.SplitSeq(profile.String(), "\n\n") {
			if strings.Contains(group, mark) && strings.Contains(group, "(*waiter).await") {
				count, _, _ := strings.Cut(group, " @ ")
				size, err := strconv.Atoi(count[strings.LastIndex(count, "\n")+1:])
				require.NoError(t, err)
				sleepers += size
			}
		}
		return sleepers == n
	})
}

// result waits for a call. The test fails at once if it does not return within limit.
func result(t *testing.T, done <-chan call, limit time.Duration) call {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case got := <-done:
		return got
	case <-timer.C:
		require.FailNow(t, "a call did not return", "within %v", limit)
		return call{}
	}
}

// stillWaiting fails the test if the call has returned.
func stillWaiting(t *testing.T, done <-chan call) {
	t.Helper()
	select {
	case got := <-done:
		require.FailNow(t, "a call returned too early", "hold %v, error %v", got.hold != nil, got.err)
	default:
	}
}

// awaitClosed fails the test if the channel is not closed within limit.
func awaitClosed(t *testing.T, done <-chan struct{}, limit time.Duration, what string) {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		require.FailNow(t, "nothing happened", "%s: not within %v", what, limit)
	}
}

// until polls a condition until it holds. The test fails at once if it does not within
// limit.
func until(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for give := time.Now().Add(limit); !condition(); {
		require.True(t, time.Now().Before(give), "%s: not within %v", what, limit)
		<-tick.C
	}
}

// passing returns a channel that is closed when the next request with the text has
// reached the proxy.
func passing(proxy *redistest.Proxy, text string) <-chan struct{} {
	seen := make(chan struct{})
	announce := sync.OnceFunc(func() { close(seen) })
	proxy.CutRequest(func(request []byte) bool {
		if bytes.Contains(request, []byte(text)) {
			announce()
		}
		return false
	})
	return seen
}

// occupy makes the foreign owner the holder of the lock.
func occupy(t *testing.T, s *redistest.Server, name string, lease time.Duration) {
	t.Helper()
	s.Do(t, "EVAL", `redis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], ARGV[1], 1) redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
		"1", name, foreign, strconv.FormatInt(lease.Milliseconds(), 10))
}

// vacate releases the foreign owner's lock as Redisson does.
func vacate(t *testing.T, s *redistest.Server, name string) {
	t.Helper()
	s.Do(t, "EVAL", `redis.call('DEL', KEYS[1]) redis.call('PUBLISH', ARGV[1], 0)`, "1", name, channelName(name))
}

// channelName returns the channel on which releases of the lock are published.
func channelName(name string) string { return "redisson_lock__channel:{" + name + "}" }

// awaitListener returns when somebody has subscribed to the lock's channel: then
// there is a waiter.
func awaitListener(t *testing.T, s *redistest.Server, name string) {
	t.Helper()
	until(t, soon, "a waiter subscribes to the channel of "+name, func() bool { return listeners(t, s, name) > 0 })
}

// awaitWaiter returns when the one in front of the only waiters of a lock has done
// everything that it does before it sleeps.
func awaitWaiter(t *testing.T, s *redistest.Server, name string) {
	t.Helper()
	awaitListener(t, s, name)
	if handover {
		until(t, soon, "a waiter of "+name+" leaves a ticket", func() bool {
			return s.Do(t, "LLEN", "rlock_queue:{"+name+"}") != int64(0)
		})
	}
}

// listeners returns the number of connections that listen on the lock's channel.
func listeners(t *testing.T, s *redistest.Server, name string) int64 {
	t.Helper()
	reply, ok := s.Do(t, "PUBSUB", "NUMSUB", channelName(name)).([]any)
	require.True(t, ok && len(reply) == 2, "PUBSUB NUMSUB: %v", reply)
	n, ok := reply[1].(int64)
	require.True(t, ok, "PUBSUB NUMSUB: %v", reply)
	return n
}

// holders returns the lock's hash: owners and their numbers of holds.
func holders(t *testing.T, s *redistest.Server, name string) map[string]string {
	t.Helper()
	reply, ok := s.Do(t, "HGETALL", name).([]any)
	require.True(t, ok, "HGETALL: %v", reply)
	fields := map[string]string{}
	for i := 0; i+1 < len(reply); i += 2 {
		fields[fmt.Sprint(reply[i])] = fmt.Sprint(reply[i+1])
	}
	return fields
}

// awaitFree returns when the lock's key is gone.
func awaitFree(t *testing.T, s *redistest.Server, name string) {
	t.Helper()
	until(t, soon, name+" is free", func() bool { return s.Do(t, "EXISTS", name) == int64(0) })
}

// requireFree fails the test if somebody has the lock now.
func requireFree(t *testing.T, s *redistest.Server, name string) {
	t.Helper()
	require.Empty(t, holders(t, s, name), "somebody has the lock %s", name)
}

// reach waits until the client has a connection to a server that was down: an operation may
// meet the end of another one's attempt to connect, which began before.
func reach(t *testing.T, lock *rlock.Lock) {
	t.Helper()
	until(t, soon, "the server can be reached", func() bool {
		_, err := lock.Inspect(t.Context())
		return err == nil
	})
}

// takeAndRelease takes the lock as a new owner, at once but for the undoing of what was
// abandoned, and gives it back.
func takeAndRelease(t *testing.T, client *rlock.Client, name string) {
	t.Helper()
	ctx := ownerContext(t)
	hold, err := client.NewLock(name).TryLock(ctx, soon)
	require.NoError(t, err)
	require.NoError(t, hold.Unlock(ctx))
}

// isFault reports whether err is an error that blames the server: not contention, not
// the end of a context, and none of the errors that say something of the caller.
func isFault(err error) bool {
	for _, other := range []error{
		nil, rlock.ErrNotAcquired, rlock.ErrNotHeld, rlock.ErrLost, rlock.ErrClosed,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, other) {
			return false
		}
	}
	return true
}

// requireFault fails the test if err is anything but a fault of the server. It is
// ErrUnavailable unless it is a refusal that nothing but a change of the ACL or of the
// key ends.
func requireFault(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, isFault(err), "not a fault: %v", err)
	lasting := false
	for _, text := range []string{"NOPERM", "can't run this command", "ACL failure in script", "WRONGTYPE"} {
		lasting = lasting || strings.Contains(err.Error(), text)
	}
	require.Equal(t, !lasting, errors.Is(err, rlock.ErrUnavailable), "%v", err)
}

// requireLost fails the test if the hold has not ended for that reason.
func requireLost(t *testing.T, hold *rlock.Hold, reason rlock.Reason) {
	t.Helper()
	err := hold.Err()
	require.ErrorIs(t, err, rlock.ErrLost)
	var lost *rlock.LostError
	require.ErrorAs(t, err, &lost)
	require.Equal(t, reason, lost.Reason, "%v", err)
	assert.Equal(t, hold.Name(), lost.Name)
	assert.Equal(t, reason == rlock.Unreachable, errors.Is(err, rlock.ErrUnavailable), "%v", err)
	assert.ErrorIs(t, context.Cause(hold.Context()), rlock.ErrLost)
}
