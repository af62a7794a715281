package rlock_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

const aclPrefix = "acl:"

// documentedRights returns what the package documentation says that an ACL must allow,
// for locks whose names begin with aclPrefix.
func documentedRights(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	text := regexp.MustCompile(`\n//\s*`).ReplaceAllString(string(source), " ")
	keys := regexp.MustCompile(`- keys: ([^;]*);`).FindStringSubmatch(text)
	require.Len(t, keys, 2, "no keys in doc.go")
	channels := regexp.MustCompile(`- channels: ([^;]*);`).FindStringSubmatch(text)
	require.Len(t, channels, 2, "no channels in doc.go")
	commands := regexp.MustCompile(`- commands: ([^.]*)\.`).FindStringSubmatch(text)
	require.Len(t, commands, 2, "no commands in doc.go")
	rights := []string{"~" + aclPrefix + "*"}
	pattern := regexp.MustCompile(`[a-z_]+:\*`)
	for _, key := range pattern.FindAllString(keys[1], -1) {
		rights = append(rights, "~"+key)
	}
	for _, channel := range pattern.FindAllString(channels[1], -1) {
		rights = append(rights, "&"+channel)
	}
	for _, command := range regexp.MustCompile(`[A-Z]{3,}`).FindAllString(commands[1], -1) {
		rights = append(rights, "+"+strings.ToLower(command))
	}
	require.Greater(t, len(rights), 12, "%v", rights)
	return rights
}

// restricted returns what a client needs to be a user with only these rights on the
// server. Its password is the user's name.
func restricted(t *testing.T, s *redistest.Server, user string, rights ...string) func(*rueidis.ClientOption) {
	t.Helper()
	s.Do(t, append([]string{"ACL", "SETUSER", user, "reset", "resetchannels", "on", ">" + user}, rights...)...)
	return func(option *rueidis.ClientOption) { option.Username, option.Password = user, user }
}

// A journal is a logger's output. It may be written by several goroutines.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

const aclLease = 9 * time.Second

// liveThroughEverything uses every operation once: alone, with nested holds, renewed,
// contended, forced open and given back by Close.
func liveThroughEverything(t *testing.T, s *redistest.Server, mutate func(*rueidis.ClientOption), options ...rlock.Option) {
	t.Helper()
	options = append(options, rlock.WithWatchdogTimeout(aclLease), rlock.WithGracePeriod(20*time.Second))
	client := newClient(t, s.Client(t, mutate), options...)
	lock := client.NewLock(aclPrefix + uniqueName(t))
	ctx := ownerContext(t)

	outer, err := lock.Lock(ctx)
	require.NoError(t, err)
	inner, err := lock.TryLock(ctx, 0, rlock.WithLease(time.Minute))
	require.NoError(t, err)
	n, err := lock.HoldCount(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.NoError(t, inner.Unlock(ctx))

	waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) })
	awaitListener(t, s, lock.Name())
	_, err = lock.TryLock(ownerContext(t), 10*time.Millisecond)
	require.ErrorIs(t, err, rlock.ErrNotAcquired)
	s.ResetStats(t)
	until(t, soon, "the lease is renewed", func() bool { return s.CommandStats(t)["pexpire"].Calls > 0 })
	require.NoError(t, outer.Err())
	require.NoError(t, lock.Unlock(ctx))
	got := result(t, waiting, aclLease+soon)
	require.NoError(t, got.err)

	other := newClient(t, s.Client(t, mutate), options...)
	forced, err := other.NewLock(lock.Name()).ForceUnlock(ctx)
	require.NoError(t, err)
	require.True(t, forced)
	awaitClosed(t, got.hold.Done(), soon, "the holder is told")
	requireLost(t, got.hold, rlock.Removed)

	require.NoError(t, lock.Do(ctx, func(context.Context) error { return nil }))
	require.NoError(t, lock.TryDo(ctx, 0, func(context.Context) error { return nil }, rlock.WithMinHold(100*time.Millisecond)))
	_, err = lock.Lock(ctx)
	require.NoError(t, err)
	waiting = inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return other.NewLock(lock.Name()).TryLock(ctx, time.Minute)
	})
	require.NoError(t, client.Close())
	got = result(t, waiting, aclLease+soon)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(ctx))
	require.NoError(t, other.Close())
	requireFree(t, s, lock.Name())
}

func TestDocumentedRightsAreEnough(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	log := &journal{}
	withRights := restricted(t, s, "documented", documentedRights(t)...)
	withCache := func(option *rueidis.ClientOption) { // as rueidis has it by default
		withRights(option)
		option.DisableCache = false
	}
	liveThroughEverything(t, s, withCache, rlock.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	assert.Zero(t, log.count("level=WARN"), "%s", log.text.String())
	assert.Empty(t, s.Do(t, "ACL", "LOG"), "something that is not documented was refused")
}

// Waiters get the lock when the lease that they know of ends.
func TestEverythingSucceedsWithoutPublish(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	log := &journal{}
	liveThroughEverything(t, s, restricted(t, s, "unheard", append(documentedRights(t), "-publish")...),
		rlock.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	assert.Equal(t, 2, log.count("PUBLISH"), "once per client: %s", log.text.String())
}

func TestContentionWithoutSubscribeIsAFault(t *testing.T) {
	t.Parallel()
	const grace = 2 * time.Second
	for kind, right := range map[string]string{"Command": "-subscribe", "Channels": "resetchannels"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			mutate := restricted(t, s, "deaf", append(documentedRights(t), right)...)
			client := newClient(t, s.Client(t, mutate), rlock.WithGracePeriod(grace))
			lock := client.NewLock(aclPrefix + uniqueName(t))
			ctx := ownerContext(t)

			// Alone, nobody needs to listen.
			require.NoError(t, lock.Do(ctx, func(ctx context.Context) error {
				inner, err := lock.Lock(ctx)
				require.NoError(t, err)
				return inner.Unlock(ctx)
			}))
			hold, err := lock.Lock(ctx)
			require.NoError(t, err)
			_, err = lock.TryLock(ownerContext(t), 0)
			require.ErrorIs(t, err, rlock.ErrNotAcquired, "the server has answered")

			var waiting []<-chan call
			for _, acquire := range longWaits {
				waiting = append(waiting, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
					return acquire(ctx, lock)
				}))
			}
			for _, w := range waiting {
				got := result(t, w, grace+soon)
				requireFault(t, got.err)
				require.ErrorContains(t, got.err, "NOPERM")
			}
			require.NoError(t, hold.Err())
			require.NoError(t, hold.Unlock(ctx))
			requireFree(t, s, lock.Name())
		})
	}
}

// Whoever waits again after the right was given waits as if it had always been there.
func TestWaitersRecoverWhenSubscribeIsAllowed(t *testing.T) {
	t.Parallel()
	const grace = 200 * time.Millisecond
	s := redistest.Start(t)
	rights := documentedRights(t)
	mutate := restricted(t, s, "deaf", append(rights, "-subscribe")...)
	client := newClient(t, s.Client(t, mutate), rlock.WithGracePeriod(grace))
	lock := client.NewLock(aclPrefix + uniqueName(t))
	occupy(t, s, lock.Name(), time.Hour)
	wait := func(ctx context.Context) (*rlock.Hold, error) { return lock.TryLock(ctx, 2*grace) }
	forLong := func(ctx context.Context) (*rlock.Hold, error) { return lock.Lock(ctx) }
	requireFault(t, result(t, inBackground(t.Context(), forLong), soon).err)

	s.Do(t, "ACL", "SETUSER", "deaf", "+subscribe")
	// Somebody always waits, so that the lock's channel is never given up.
	until(t, soon, "waiting is contention again", func() bool {
		err := result(t, inBackground(t.Context(), wait), soon).err
		if isFault(err) {
			return false
		}
		require.ErrorIs(t, err, rlock.ErrNotAcquired)
		return true
	})
}

func TestRefusedKeysAreAFaultAtOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	mutate := restricted(t, s, "elsewhere", documentedRights(t)...)
	client := newClient(t, s.Client(t, mutate), rlock.WithGracePeriod(time.Minute))
	lock := client.NewLock("not" + aclPrefix + uniqueName(t))
	acquisitions := map[string]func(ctx context.Context, lock *rlock.Lock) (*rlock.Hold, error){
		"NoWait": func(ctx context.Context, lock *rlock.Lock) (*rlock.Hold, error) { return lock.TryLock(ctx, 0) },
	}
	for kind, acquire := range longWaits {
		acquisitions[kind] = acquire
	}
	for kind, acquire := range acquisitions {
		got := result(t, inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
			return acquire(ctx, lock)
		}), soon)
		requireFault(t, got.err)
		assert.ErrorContains(t, got.err, "NOPERM", kind)
	}
	_, err := lock.Inspect(t.Context())
	requireFault(t, err)
	_, err = lock.ForceUnlock(t.Context())
	requireFault(t, err)
	requireFree(t, s, lock.Name())
}

// The right is taken away while the lock is held: the release fails, and succeeds when
// it is there again.
func TestUnlockThatIsRefusedCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	mutate := restricted(t, s, "changing", documentedRights(t)...)
	client := newClient(t, s.Client(t, mutate), rlock.WithGracePeriod(time.Minute))
	lock := client.NewLock(aclPrefix + uniqueName(t))
	hold, err := lock.Lock(t.Context())
	require.NoError(t, err)
	s.Do(t, "ACL", "SETUSER", "changing", "-del")
	requireFault(t, hold.Unlock(t.Context()))
	require.Len(t, holders(t, s, lock.Name()), 1)
	s.Do(t, "ACL", "SETUSER", "changing", "+del")
	require.NoError(t, hold.Unlock(t.Context()))
	requireFree(t, s, lock.Name())
}
