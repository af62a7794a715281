//go:build interop

package interop_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/worker"
)

// shortWatchdog is that of a holder which is killed.
const shortWatchdog = 2 * time.Second

func TestGoTakesOverFromAKilledJVM(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			jvm := start(t)
			holder := jvm.connect(t, server.Addr(), shortWatchdog).owner("1")
			require.NoError(t, holder.lock(name))
			assertTakeOver(t, name, newGoOwner(t, options...), jvm.kill)
		})
	}
}

func TestJavaTakesOverFromAKilledGoProcess(t *testing.T) {
	t.Parallel()
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			holder := worker.Start(t, worker.Job{
				Duty: worker.Obey, Server: server.Addr(), Name: name, WatchdogTimeout: shortWatchdog, Public: mode == handoverOff,
			})
			require.Equal(t, "ready", holder.Hear(t))
			require.Contains(t, holder.Ask(t, "lock "+name), "held")
			assertTakeOver(t, name, newJavaOwner(t, defaultWatchdog), holder.Kill)
		})
	}
}

// assertTakeOver lets an owner wait until the holder has renewed its lease, kills the
// holder, and requires that the lease is not renewed any more and that the owner has
// the lock when it ends.
func assertTakeOver(t *testing.T, name string, next owner, kill func()) {
	t.Helper()
	first := leaseEnd(t, name)
	waiting := wait(t, next, name)
	eventually(t, "the lease is renewed", func() bool { return leaseEnd(t, name).Sub(first) > 100*time.Millisecond })

	kill()
	end := leaseEnd(t, name)
	got := await(t, waiting).at
	assert.False(t, got.Before(end), "it has the lock %v before the lease ends", end.Sub(got))
	assert.Less(t, got.Sub(end), 5*time.Second, "it has it soon after")
	assertResult(t, true)(next.isHeld(name))
	require.NoError(t, next.unlock(name))
	isFree(t, name)
}

// leaseEnd returns when the present lease of a lock ends if nobody renews it, or a
// little earlier.
func leaseEnd(t *testing.T, name string) time.Time {
	t.Helper()
	now := time.Now()
	ttl := number(t, "PTTL", name)
	require.Positive(t, ttl, "somebody has the lock")
	return now.Add(time.Duration(ttl) * time.Millisecond)
}
