package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

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
	figures := map[string]float64{} // commands per second of 8 waiters
	rows := regexp.MustCompile(`(?m)^(.*\S) +(\d+) +(\d+) +[\d.]+ % +([\d.]+)$`).FindAllStringSubmatch(out, -1)
	require.Len(t, rows, 4*len(kinds), "with 1, 2, 4 and 8 waiters: %s", out)
	for _, row := range rows {
		served, err := strconv.ParseFloat(row[4], 64)
		require.NoError(t, err)
		assert.Positive(t, served, "%s was had by somebody", row[0])
		figures[row[1]], err = strconv.ParseFloat(row[3], 64)
		require.NoError(t, err)
	}
	assert.Positive(t, figures["rlock"])
	assert.Less(t, figures["rlock"], figures["SETNX, again at once"]/2)
	drawn, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, k := range kinds {
		assert.Contains(t, string(drawn), k.title)
	}
}

func TestDeadHolderIsSucceededWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	out := spinlock(t, "-lease", "3s", "crash")
	assert.Contains(t, out, "SETNX without an expiry: still taken after 6")
	assert.Less(t, after(t, out, `SETNX with an expiry of 3s: the next one has it after (\S+)`), 5*time.Second)
	waited := after(t, out, `rlock with a watchdog timeout of 3s: the next one has it after (\S+)`)
	assert.Less(t, waited, 5*time.Second)
	assert.Greater(t, waited, time.Second, "and not at once: it was killed, and did not unlock")
}

func TestWorkThatOutlastsItsLeaseIsDoneAnewAndOnce(t *testing.T) {
	t.Parallel()
	out := spinlock(t, "-lease", "2s", "overrun")
	assert.Regexp(t, `(?s)SETNX with an expiry of 2s:
  second: has the lock after \S+
  first: has written; then, unlocking: spin lock: it was somebody else's, or nobody's, when it was given back
  both are done; the balance is 1
rlock with a lease of 2s:
.*  first: stopped, nothing written: rlock: lock "examples:spinlock" lost: lease expired
.*  first: unlocking: rlock: unlock "examples:spinlock": rlock: lock "examples:spinlock" lost: lease expired
.*  first: begins anew
.*  both are done; the balance is 2
rlock without a lease:
  second: has the lock after \S+
  both are done; the balance is 2
$`, out)
	entries := regexp.MustCompile(`second: has the lock after (\S+)`).FindAllStringSubmatch(out, -1)
	require.Len(t, entries, 3)
	watched, err := time.ParseDuration(entries[2][1])
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

// after returns the duration that a pattern finds.
func after(t *testing.T, text, pattern string) time.Duration {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	require.NotNil(t, found, "%s in %s", pattern, text)
	d, err := time.ParseDuration(found[1])
	require.NoError(t, err)
	return d
}
