package main

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

// TestMain lets the test binary be the program, for the tests that start it.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE_COUNTER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestTerminalsCountEveryNumberOnce(t *testing.T) {
	t.Parallel()
	const terminals, steps = 3, 40
	server := redistest.Start(t)
	var outputs [terminals]bytes.Buffer
	var programs [terminals]*exec.Cmd
	for i := range programs {
		programs[i] = counter(t, "-redis", server.URL(), "-n", strconv.Itoa(steps), "-pace", "1ms")
		programs[i].Stdout = &outputs[i]
		require.NoError(t, programs[i].Start())
	}
	var got, want []int
	for i, program := range programs {
		require.NoError(t, program.Wait())
		for line := range strings.Lines(outputs[i].String()) {
			n, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			got = append(got, n)
		}
	}
	for n := range terminals * steps {
		want = append(want, n+1)
	}
	slices.Sort(got)
	assert.Equal(t, want, got)
	assert.Equal(t, strconv.Itoa(terminals*steps), server.Do(t, "GET", key))
	assert.Zero(t, server.Do(t, "EXISTS", key+":lock"), "the lock is free in the end")
}

func TestInterruptLeavesNothingLocked(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	program := counter(t, "-redis", server.URL(), "-pace", "1h")
	require.NoError(t, program.Start())
	locked := func() bool { return server.Do(t, "EXISTS", key+":lock") == int64(1) }
	require.Eventually(t, locked, time.Minute, 5*time.Millisecond)

	require.NoError(t, program.Process.Signal(os.Interrupt))
	require.Error(t, program.Wait(), "it did not count as far as it was told")
	assert.False(t, locked())
	assert.Zero(t, server.Do(t, "EXISTS", key), "and did not write")
}

// counter returns the program, ready to start.
func counter(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	program := exec.CommandContext(t.Context(), os.Args[0], args...)
	program.Env = append(os.Environ(), "EXAMPLE_COUNTER=1")
	return program
}
