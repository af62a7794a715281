//go:build interop

package interop_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/internal/worker"
	"github.com/go-rlock/rlock/rlock"
)

// shared is the JVM that serves the tests that need none of their own.
var shared *jvm

func TestMain(m *testing.M) {
	worker.Main()
	goleak.VerifyTestMain(withJVM{redistest.Main(m, &server)})
}

// withJVM lets the shared JVM run while the tests do.
type withJVM struct{ tests interface{ Run() int } }

func (w withJVM) Run() int {
	var err error
	if shared, err = launch(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := w.tests.Run()
	if !shared.quit() {
		fmt.Fprintf(os.Stderr, "the shared JVM has ended before the tests, having written:\n%s", shared.stderr.String())
		return 1
	}
	return code
}

// fresh returns the name of a lock that nobody has used, not even this test before.
func fresh(t *testing.T) string {
	t.Helper()
	return t.Name() + "-" + rand.Text()
}

// hash returns the fields of the lock's hash on the shared server, nil if it is free.
func hash(t *testing.T, name string) map[string]string {
	t.Helper()
	return content(t, server, name)
}

// newGoOwner returns an owner with a client of its own of the shared server, which is
// closed when the test is over.
func newGoOwner(t *testing.T, options ...rlock.Option) goOwner {
	t.Helper()
	return newGoOwnerOn(t, server, options...)
}

// sides make owners for a test that is the same in both directions, each with a client
// of its own, one on this side and other on the other.
type sides struct {
	one, other func(t *testing.T, watchdog time.Duration) owner
}

// ways are both directions in every mode.
var ways = func() map[string]sides {
	all := map[string]sides{}
	for mode, options := range modes {
		inGo := func(t *testing.T, watchdog time.Duration) owner {
			t.Helper()
			return newGoOwner(t, append([]rlock.Option{rlock.WithWatchdogTimeout(watchdog)}, options...)...)
		}
		inJava := func(t *testing.T, watchdog time.Duration) owner {
			t.Helper()
			return newJavaOwner(t, watchdog)
		}
		all[mode+"/GoThenJava"] = sides{one: inGo, other: inJava}
		all[mode+"/JavaThenGo"] = sides{one: inJava, other: inGo}
	}
	return all
}()

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for give := time.Now().Add(limit); !holds(); <-tick.C {
		require.True(t, time.Now().Before(give), "%s: not for %v", what, limit)
	}
}

// number returns the reply to a command that answers an integer.
func number(t *testing.T, command ...string) int64 {
	t.Helper()
	n, ok := server.Do(t, command...).(int64)
	require.True(t, ok, "%v", command)
	return n
}

// isFree requires that nobody has the lock.
func isFree(t *testing.T, name string) {
	t.Helper()
	require.Zero(t, number(t, "EXISTS", name), "somebody has the lock")
}

// waiters returns how many connections listen for the release of a lock.
func waiters(t *testing.T, name string) int64 {
	t.Helper()
	reply, ok := server.Do(t, "PUBSUB", "NUMSUB", "redisson_lock__channel:{"+name+"}").([]any)
	require.True(t, ok)
	require.Len(t, reply, 2)
	n, ok := reply[1].(int64)
	require.True(t, ok)
	return n
}

// An event is the end of a call in another goroutine.
type event struct {
	err error
	at  time.Time
}

// inBackground makes a call in another goroutine and returns its end.
func inBackground(call func() error) <-chan event {
	ended := make(chan event, 1)
	go func() { ended <- event{err: call(), at: time.Now()} }()
	return ended
}

// wait lets an owner wait for a lock that is held, and returns when it sleeps, or has
// the lock because a lease has ended meanwhile.
func wait(t *testing.T, o owner, name string) <-chan event {
	t.Helper()
	before := waiters(t, name)
	ended := inBackground(func() error { return o.lock(name) })
	eventually(t, "it waits", func() bool { return waiters(t, name) > before || len(ended) > 0 })
	return ended
}

// await returns the event, which must come in time.
func await(t *testing.T, ended <-chan event) event {
	t.Helper()
	select {
	case e := <-ended:
		require.NoError(t, e.err)
		return e
	case <-time.After(limit):
		require.FailNow(t, "it waits in vain")
	}
	return event{}
}
