package rlock_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// pipelines are the ways in which a Redis client may spread commands over connections.
var pipelines = map[string]func(*rueidis.ClientOption){
	"Default":               func(*rueidis.ClientOption) {},
	"OneConnection":         oneConnection,
	"ManyConnections":       func(option *rueidis.ClientOption) { option.PipelineMultiplex = 2 },
	"AlwaysPipelining":      func(option *rueidis.ClientOption) { option.AlwaysPipelining = true },
	"DisableAutoPipelining": unpipelined,
}

// cuts are the ways in which a connection may break around a script.
var cuts = map[string]func(proxy *redistest.Proxy, match func([]byte) bool) <-chan struct{}{
	"ReplyLost":   (*redistest.Proxy).CutReplyAfter,
	"RequestLost": (*redistest.Proxy).CutRequest,
}

// running returns a match for requests that run the script, which the server knows
// already, on the lock. Handing over, the last hold is given back by another script where
// nobody of the client waits.
func running(t *testing.T, script, name string) func(request []byte) bool {
	t.Helper()
	if script == "release" && handover {
		script = "release_alone"
	}
	sum := sha1.Sum([]byte(sourceOf(t, script)))
	id := []byte(hex.EncodeToString(sum[:]))
	key := []byte("\r\n" + name + "\r\n")
	return func(request []byte) bool { return bytes.Contains(request, id) && bytes.Contains(request, key) }
}

// loadScripts makes the server know all scripts.
func loadScripts(t *testing.T, s *redistest.Server) {
	t.Helper()
	files, err := os.ReadDir("../lua")
	require.NoError(t, err)
	for _, file := range files {
		if script, ok := strings.CutSuffix(file.Name(), ".lua"); ok {
			s.Do(t, "SCRIPT", "LOAD", sourceOf(t, script))
		}
	}
}

// sourceOf returns what the server knows a script by: its file, behind those of the parts that
// it uses.
func sourceOf(t *testing.T, script string) string {
	t.Helper()
	read := func(file string) string {
		source, err := os.ReadFile("../lua/" + file + ".lua")
		require.NoError(t, err)
		return string(source)
	}
	source, parts := read(script), ""
	for _, part := range []string{"shorter", "follower"} {
		if part != script && strings.Contains(source, part+"(") {
			parts += read(part)
		}
	}
	return parts + source
}

// A scene is what a script runs in: a lock and the holds on it, outermost first.
type scene struct {
	lock  *rlock.Lock
	ctx   context.Context // of the owner
	holds []*rlock.Hold
}

func (s *scene) acquire(t *testing.T, options ...rlock.LockOption) {
	t.Helper()
	hold, err := s.lock.TryLock(s.ctx, 0, options...)
	require.NoError(t, err)
	s.holds = append(s.holds, hold)
}

func (s *scene) release(t *testing.T) {
	t.Helper()
	last := len(s.holds) - 1
	require.NoError(t, s.holds[last].Unlock(s.ctx))
	require.NoError(t, s.holds[last].Err())
	s.holds = s.holds[:last]
}

// A step is an operation that runs one script, in a scene of its own.
type step struct {
	name, script string
	holds        int // before
	run          func(t *testing.T, s *scene)
	left         int                          // holds afterwards
	lease        [2]time.Duration             // between which the lock's TTL lies afterwards
	after        func(t *testing.T, s *scene) // nil: the holds are still there
}

const sceneLease = time.Hour // the fixed lease of the innermost of several holds

var steps = []step{
	{
		name: "AcquireFirst", script: "acquire", left: 1, lease: [2]time.Duration{25 * time.Second, 30 * time.Second},
		run: func(t *testing.T, s *scene) { t.Helper(); s.acquire(t) },
	},
	{
		name: "AcquireAgain", script: "acquire", holds: 1, left: 2, lease: [2]time.Duration{sceneLease - time.Minute, sceneLease},
		run: func(t *testing.T, s *scene) { t.Helper(); s.acquire(t, rlock.WithLease(sceneLease)) },
	},
	{
		name: "Reduce", script: "reduce", holds: 2, left: 1, lease: [2]time.Duration{25 * time.Second, 30 * time.Second},
		run: func(t *testing.T, s *scene) { t.Helper(); s.release(t) },
	},
	{
		name: "ReduceToTwo", script: "reduce", holds: 3, left: 2, lease: [2]time.Duration{sceneLease - time.Minute, sceneLease},
		run: func(t *testing.T, s *scene) { t.Helper(); s.release(t) },
	},
	{
		name: "Release", script: "release", holds: 1, left: 0,
		run: func(t *testing.T, s *scene) { t.Helper(); s.release(t) },
	},
	{
		name: "Keep", script: "keep", left: 0,
		run: func(t *testing.T, s *scene) {
			t.Helper()
			s.acquire(t, rlock.WithMinHold(time.Minute))
			owner := s.owner(t)
			s.release(t)
			info, err := s.lock.Inspect(s.ctx)
			require.NoError(t, err)
			require.Equal(t, 1, info.Holds)
			require.NotEqual(t, owner, s.owner(t))
			assert.Greater(t, info.TTL, 30*time.Second)
			assert.LessOrEqual(t, info.TTL, time.Minute)
			_, err = s.lock.TryLock(s.ctx, 0)
			require.ErrorIs(t, err, rlock.ErrNotAcquired)
			_, err = s.lock.ForceUnlock(s.ctx)
			require.NoError(t, err)
		},
	},
	{
		name: "Inspect", script: "inspect", holds: 2, left: 2, lease: [2]time.Duration{sceneLease - time.Minute, sceneLease},
		run: func(t *testing.T, s *scene) {
			t.Helper()
			n, err := s.lock.HoldCount(s.ctx)
			require.NoError(t, err)
			require.Equal(t, 2, n)
		},
	},
	{
		// Its result is not compared: a second copy that finds nothing cannot know
		// whether the first one did.
		name: "ForceUnlock", script: "force_release", holds: 2, left: 0,
		run: func(t *testing.T, s *scene) {
			t.Helper()
			_, err := s.lock.ForceUnlock(s.ctx)
			require.NoError(t, err)
		},
		after: func(t *testing.T, s *scene) {
			t.Helper()
			for _, hold := range s.holds {
				awaitClosed(t, hold.Done(), soon, "the hold ends")
				requireLost(t, hold, rlock.Removed)
			}
			s.holds = nil
		},
	},
}

func TestLostConnectionChangesNothing(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	loadScripts(t, s)
	for pipeline, mutate := range pipelines {
		t.Run(pipeline, func(t *testing.T) {
			t.Parallel()
			for cut, lose := range cuts {
				for _, step := range steps {
					t.Run(cut+"/"+step.name, func(t *testing.T) {
						proxy := s.Proxy(t)
						client := newClient(t, s.Client(t, mutate, proxy.Use), patient)
						for _, ctx := range []context.Context{t.Context(), context.Background()} {
							playStep(rlock.WithOwner(ctx, rlock.NewOwner()), t, s, proxy, client, lose, step)
						}
						require.NoError(t, client.Close())
						require.Empty(t, s.Do(t, "KEYS", t.Name()+":*"))
					})
				}
			}
		})
	}
}

// playStep runs the step while the connection is cut, and compares what it left behind.
func playStep(
	ctx context.Context, t *testing.T, s *redistest.Server, proxy *redistest.Proxy, client *rlock.Client,
	lose func(*redistest.Proxy, func([]byte) bool) <-chan struct{}, step step,
) {
	t.Helper()
	scene := &scene{lock: client.NewLock(uniqueName(t)), ctx: ctx}
	for i := range step.holds {
		if i == 0 {
			scene.acquire(t)
		} else {
			scene.acquire(t, rlock.WithLease(sceneLease))
		}
	}

	happened := lose(proxy, running(t, step.script, scene.lock.Name()))
	step.run(t, scene)
	awaitClosed(t, happened, soon, "the connection is cut")

	fields := holders(t, s, scene.lock.Name())
	if step.left == 0 {
		require.Empty(t, fields)
	} else {
		require.Equal(t, map[string]string{client.ID() + ":" + scene.owner(t): strconv.Itoa(step.left)}, fields)
		pttl, ok := s.Do(t, "PTTL", scene.lock.Name()).(int64)
		require.True(t, ok)
		ttl := time.Duration(pttl) * time.Millisecond
		assert.GreaterOrEqual(t, ttl, step.lease[0])
		assert.LessOrEqual(t, ttl, step.lease[1])
	}
	if step.after != nil {
		step.after(t, scene)
	}
	for _, hold := range scene.holds {
		require.NoError(t, hold.Err())
	}

	// The counts are right: what is left is what has to be given back, and then others
	// can have the lock.
	for range len(scene.holds) {
		require.NotEmpty(t, holders(t, s, scene.lock.Name()))
		scene.release(t)
	}
	requireFree(t, s, scene.lock.Name())
	require.ErrorIs(t, scene.lock.Unlock(scene.ctx), rlock.ErrNotHeld)
	takeAndRelease(t, client, scene.lock.Name())
	scene.acquire(t)
	require.Equal(t, "1", holders(t, s, scene.lock.Name())[client.ID()+":"+scene.owner(t)])
	scene.release(t)
	requireFree(t, s, scene.lock.Name())
}

// owner returns the number that stands for the scene's owner on the wire now.
func (s *scene) owner(t *testing.T) string {
	t.Helper()
	info, err := s.lock.Inspect(context.Background())
	require.NoError(t, err)
	_, number, ok := strings.Cut(info.Owner, ":")
	require.True(t, ok, "%+v", info)
	return number
}

// Renewals that lose their connection are made again, while the lease lasts.
func TestLostRenewalIsMadeAgain(t *testing.T) {
	t.Parallel()
	const lease = 9 * time.Second
	type renewal struct {
		kind  string
		proxy *redistest.Proxy
		hold  *rlock.Hold
		cut   <-chan struct{}
	}
	s := redistest.Start(t)
	loadScripts(t, s)
	var renewals []renewal
	for cut, lose := range cuts {
		for pipeline, mutate := range pipelines {
			proxy := s.Proxy(t)
			client := newClient(t, s.Client(t, mutate, proxy.Use), rlock.WithWatchdogTimeout(lease))
			hold, err := client.NewLock(uniqueName(t)).Lock(t.Context())
			require.NoError(t, err)
			happened := lose(proxy, running(t, "renew", hold.Name()))
			renewals = append(renewals, renewal{cut + " " + pipeline, proxy, hold, happened})
		}
	}
	ended := time.NewTimer(lease) // of the lease that everybody began with
	for _, r := range renewals {
		awaitClosed(t, r.cut, soon, "the connection of a renewal is cut: "+r.kind)
	}
	<-ended.C
	for _, r := range renewals {
		require.NoError(t, r.hold.Err(), r.kind)
		require.Len(t, holders(t, s, r.hold.Name()), 1, r.kind)
		require.NoError(t, r.hold.Unlock(t.Context()), r.kind)
		requireFree(t, s, r.hold.Name())
	}
}
