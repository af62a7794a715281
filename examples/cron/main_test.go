package main

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

const name = "examples:cron"

// TestMain lets the test binary be the program, for the tests that start it.
func TestMain(m *testing.M) {
	if os.Getenv("EXAMPLE_CRON") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The job takes no time: but for the minimum hold, every instance would run it.
func TestOneOfThreeInstancesRunsEveryTick(t *testing.T) {
	t.Parallel()
	const instances, ticks = 3, 3
	server := redistest.Start(t)
	var (
		mu   sync.Mutex
		runs = map[string]int{}      // by the tick
		told = map[string]int{}      // how many instances have told what they did
		full = make(chan string, 99) // the ticks that all have told of
	)
	for i := range instances {
		ahead := time.Duration(i) * 150 * time.Millisecond
		p := start(t, server, "-every", "3s", "-min", "1500ms", "-ahead", ahead.String(), "--", "true")
		go func() {
			for line := range p.lines {
				tick, what, _ := strings.Cut(line, " ")
				mu.Lock()
				if what == "done" {
					runs[tick]++
				}
				if told[tick]++; told[tick] == instances {
					full <- tick
				}
				mu.Unlock()
			}
		}()
	}
	for range ticks {
		select {
		case tick := <-full:
			mu.Lock()
			assert.Equal(t, 1, runs[tick], "how many instances ran tick %s", tick)
			mu.Unlock()
		case <-time.After(time.Minute):
			require.Fail(t, "no tick that all instances have told of")
		}
	}
}

func TestJobIsKilledWhenTheLockIsLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := start(t, server, "-every", "1s", "-min", "500ms", "-timeout", "3s", "--", "sh", "-c", "echo at work; exec sleep 1000")
	p.expect(t, "at work")
	require.Equal(t, int64(1), server.Do(t, "DEL", name))
	p.expect(t, "failed: sh: signal: killed")
	p.expect(t, `lock "`+name+`" lost: removed or taken over`)
	p.expect(t, "at work") // the next tick
}

func TestMinimumHoldOutlivesItsProcess(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			p := start(t, server, "-every", "120s", "-min", "100s", "-ahead", untilNext(120*time.Second).String(), "--", "true")
			p.expect(t, "done")
			require.NoError(t, p.cmd.Process.Signal(signal))
			_ = p.cmd.Wait()
			left, ok := server.Do(t, "PTTL", name).(int64)
			require.True(t, ok)
			assert.Greater(t, left, int64(50_000))
			assert.LessOrEqual(t, left, int64(100_000))
		})
	}
}

// The first instance does its short job and ends, which closes its client. Only then the
// second one starts, whose clock is behind by as long as that took.
func TestInstanceWhoseClockIsBehindFindsTheLockOfOneThatHasEnded(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	run := func() *instance {
		return start(t, server, "-every", "120s", "-min", "100s", "-ahead", untilNext(120*time.Second).String(), "--", "true")
	}
	first := run()
	first.expect(t, "done")
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, first.cmd.Wait())
	run().expect(t, "left to another instance")
}

func TestTerminatedInstanceKillsItsJobAndLetsTheNextOneIn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	args := []string{"-every", "1s", "-min", "500ms", "--", "sh", "-c", "echo at work; exec sleep 1000"}
	first := start(t, server, args...)
	first.expect(t, "at work")
	second := start(t, server, args...)
	for range 2 { // also after the minimum
		second.expect(t, "left to another instance")
	}
	began := time.Now()
	require.NoError(t, first.cmd.Process.Signal(syscall.SIGTERM))
	first.expect(t, "failed: sh: signal: killed")
	second.expect(t, "at work")
	assert.Less(t, time.Since(began), 15*time.Second, "without waiting for the lease of the watchdog")
}

func TestNothingRunsWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := start(t, server, "-every", "1s", "-min", "500ms", "--", "true")
	p.expect(t, "done")
	server.Kill()
	p.expect(t, "failed: rlock:")
	server.Restart(t)
	p.expect(t, "done")
}

// An instance is a running program.
type instance struct {
	cmd   *exec.Cmd
	lines chan string // what it prints
}

func start(t *testing.T, server *redistest.Server, args ...string) *instance {
	t.Helper()
	p := &instance{
		cmd:   exec.CommandContext(t.Context(), os.Args[0], append([]string{"-redis", server.URL()}, args...)...),
		lines: make(chan string, 1000),
	}
	p.cmd.Env = append(os.Environ(), "EXAMPLE_CRON=1")
	p.cmd.Stderr = os.Stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) } // it takes its job along
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Wait() })
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	return p
}

// expect waits for a line that contains text.
func (p *instance) expect(t *testing.T, text string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		select {
		case line, ok := <-p.lines:
			require.True(t, ok, "it ended without printing %q", text)
			if strings.Contains(line, text) {
				return
			}
		case <-limit:
			require.Fail(t, "it does not print "+strconv.Quote(text))
		}
	}
}

// untilNext returns how far ahead a clock must be to show a multiple of d in a second.
func untilNext(d time.Duration) time.Duration {
	now := time.Now()
	return now.Truncate(d).Add(d).Sub(now) - time.Second
}
