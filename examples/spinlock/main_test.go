package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

// TestMain lets the test binary be the program, for the tests that start it and for the
// program, which starts itself.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE_SPINLOCK") != "" {
		main()
		return
	}
	_ = os.Setenv("EXAMPLE_SPINLOCK", "1") // for what is started
	os.Exit(m.Run())
}

func TestWaitersOfTheLockAskLessThanThoseOfALoop(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "load.svg")
	out := spinlock(t, "-most", "8", "-window", "500ms", "-out", file, "load")
	commands := map[string]float64{} // per second, of 8 waiters
	rows := regexp.MustCompile(`(?m)^(.*\S) +(\d+) +(\d+) +[\d.]+ % +([\d.]+) +([\d.]+) s$`).FindAllStringSubmatch(out, -1)
	require.Len(t, rows, 4*len(kinds), "with 1, 2, 4 and 8 waiters: %s", out)
	for _, row := range rows {
		assert.Positive(t, number(t, row[4]), "%s was had by somebody", row[0])
		assert.Positive(t, number(t, row[5]), "%s was waited for", row[0])
		commands[row[1]] = number(t, row[3])
	}
	assert.Positive(t, commands["rlock"])
	assert.Less(t, commands["rlock"], commands["SETNX, again at once"]/2)
	drawn, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, k := range kinds {
		assert.Contains(t, string(drawn), k.title)
	}
	for _, p := range panels {
		assert.Contains(t, string(drawn), p.title)
	}
}

func TestPictureIsDrawnOfOnePointAndOfNothing(t *testing.T) {
	t.Parallel()
	for _, l := range []load{{waiters: 1}, {waiters: 1, commands: 1, cpu: 1, longest: 1}} {
		loads := make([][]load, len(kinds))
		for k := range kinds {
			loads[k] = []load{l}
		}
		file := filepath.Join(t.TempDir(), "load.svg")
		require.NoError(t, draw(loads, file))
		drawn, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.NotContains(t, string(drawn), "NaN")
		assert.NotContains(t, string(drawn), "Inf")
	}
}

func TestEachCommandIsCountedOnceAlsoInAScript(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	before, err := s.count(t.Context())
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, s.rdb.Do(t.Context(), s.rdb.B().Set().Key(name).Value("1").Build()).Error())
	}
	script := s.rdb.B().Eval().Script(`redis.call('GET', KEYS[1]); return redis.call('DEL', KEYS[1])`)
	require.NoError(t, s.rdb.Do(t.Context(), script.Numkeys(1).Key(name).Build()).Error())
	after, err := s.count(t.Context())
	require.NoError(t, err)
	const info = 1 // of the first count
	assert.InDelta(t, 5+1+2+info, after.commands-before.commands, 0.5)
	assert.Greater(t, after.cpu, before.cpu)
}

func TestTallyHasEachTurnAndTheLongestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, context.Canceled)
		defer cancel()
		waits := []time.Duration{time.Second, 3 * time.Second, 2 * time.Second, time.Hour} // the last one is broken off
		var tally tally
		back := 0
		require.NoError(t, tally.turns(ctx, func(ctx context.Context) (func(context.Context) error, error) {
			if err := rest(ctx, waits[0]); err != nil {
				return nil, err
			}
			waits = waits[1:]
			return func(ctx context.Context) error { back++; return ctx.Err() }, nil
		}))
		assert.EqualValues(t, 3, tally.served.Load())
		assert.Equal(t, 3, back, "each was given back")
		assert.Equal(t, 10*time.Second-6*time.Second-3*work, tally.longest, "that of who waits still")
	})
}

func TestSpinLockIsGivenBackByItsHolderOnly(t *testing.T) {
	t.Parallel()
	l := spin{rdb: newStage(t).rdb, lease: time.Minute, pause: time.Millisecond}
	ctx := t.Context()
	token, err := l.lock(ctx)
	require.NoError(t, err)
	require.ErrorIs(t, l.unlock(ctx, "another token"), errStolen)
	ttl, err := l.rdb.Do(ctx, l.rdb.B().Pttl().Key(name).Build()).AsInt64()
	require.NoError(t, err)
	assert.Positive(t, ttl, "it is still there, and will end")
	require.NoError(t, l.unlock(ctx, token))
	require.ErrorIs(t, l.unlock(ctx, token), errStolen, "nothing is there any more")
}

func TestDeadHolderIsSucceededWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	out := spinlock(t, "-lease", "3s", "crash")
	assert.Contains(t, out, "SETNX without an expiry: still taken after 6")
	for _, title := range []string{"SETNX with an expiry of 3s", "rlock with a watchdog timeout of 3s"} {
		waited := after(t, out, title+`: the next one has it after (\S+)`)
		assert.Less(t, waited, 5*time.Second, title)
		assert.Greater(t, waited, time.Second, "%s: not at once, because the dead one did not unlock", title)
	}
}

func TestLateUnlockSaysWhatWasLostAndTheProgramMendsIt(t *testing.T) {
	t.Parallel()
	out := spinlock(t, "-lease", "2s", "overrun")
	const lost = `rlock: lock "examples:spinlock" lost: lease expired`
	assert.Regexp(t, `^SETNX with an expiry of 2s:
  second: has the lock after \S+
  first: has written, and learns from unlock: spin lock: it was somebody else's, or nobody's, when it was given back
  first: repairs: there were 8 \+ 1 coins
  in the end: 8 \+ 2 coins
rlock with a lease of 2s, and nobody looks at the hold:
  second: has the lock after \S+
  first: has written, and learns from lock.Unlock: rlock: unlock "examples:spinlock": lock not held by this owner: `+lost+`
    ErrNotHeld: true, ErrLost: true, reason: lease expired
  first: or from hold.Unlock: rlock: unlock "examples:spinlock": `+lost+`
    ErrNotHeld: false, ErrLost: true, reason: lease expired
  first: repairs: there were 8 \+ 1 coins
  in the end: 8 \+ 2 coins
rlock with a lease of 2s, and the work ends with the hold:
(?:  second: has the lock after \S+
)?  first: is stopped: `+lost+`
(?:  second: has the lock after \S+
)?  first: learns from hold.Unlock: rlock: unlock "examples:spinlock": `+lost+`
    ErrNotHeld: false, ErrLost: true, reason: lease expired
  first: begins anew
(?:  second: has the lock after \S+
)?  in the end: 8 \+ 2 coins
rlock without a lease:
  second: has the lock after \S+
  in the end: 8 \+ 2 coins
$`, out)
	entries := regexp.MustCompile(`second: has the lock after (\S+)`).FindAllStringSubmatch(out, -1)
	require.Len(t, entries, 4)
	watched, err := time.ParseDuration(entries[3][1])
	require.NoError(t, err)
	assert.Greater(t, watched, 3*time.Second, "when the work is done, not when one lease is over")
}

// spinlock runs the program with a server of its own and returns what it printed.
func spinlock(t *testing.T, args ...string) string {
	t.Helper()
	server := redistest.Start(t)
	program := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-redis", server.URL()}, args...)...)
	var stdout, stderr bytes.Buffer
	program.Stdout, program.Stderr = &stdout, &stderr
	require.NoError(t, program.Run(), "%s%s", &stdout, &stderr)
	return stdout.String()
}

// newStage returns a stage with a server of its own.
func newStage(t *testing.T) stage {
	t.Helper()
	option, err := rueidis.ParseURL(redistest.Start(t).URL())
	require.NoError(t, err)
	option.PipelineMultiplex = -1 // one connection, and none that is opened later
	rdb, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(rdb.Close)
	return stage{option: option, rdb: rdb}
}

// number returns the number that a text is.
func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return n
}

// after returns the duration that a pattern finds.
func after(t *testing.T, text, pattern string) time.Duration {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	require.NotNil(t, found, "%s in %s", pattern, text)
	d, err := time.ParseDuration(found[1])
	require.NoError(t, err)
	return d
}
