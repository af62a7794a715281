package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/embedded"
	"github.com/go-rlock/rlock/internal/redistest"
)

const (
	// asProgram, set in the environment, makes the test binary the program itself.
	asProgram = "RLOCK_TEST_AS_PROGRAM"
	// statusLeak is the exit status of a program that leaves a goroutine behind.
	statusLeak = 99
	// patience bounds what is waited for. Nothing takes that long.
	patience = time.Minute
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	status := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = statusLeak
	}
	os.Exit(status)
}

// program is a running rlock, in a process group of its own.
type program struct {
	cmd    *exec.Cmd
	stdout buffer
	stderr buffer
	exited chan struct{}
}

// start starts rlock with arguments. It is killed at the end of the test if it still
// runs then.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{exited: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), asProgram+"=1", redisVariable+"=",
		"GORACE=atexit_sleep_ms=0") // the race detector's processes end at once
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, p.cmd.Start())

	var waiting sync.WaitGroup
	waiting.Go(func() {
		defer close(p.exited)
		_ = p.cmd.Wait()
	})
	t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		waiting.Wait()
		require.NotContains(t, p.stderr.String(), "DATA RACE")
		require.NotContains(t, p.stderr.String(), "goroutine")
		if t.Failed() {
			t.Logf("rlock %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), &p.stdout, &p.stderr)
		}
	})
	return p
}

// wait waits until the program and its workers, which share its standard error, have
// ended and returns its exit status.
func (p *program) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("the program does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// signal sends a signal to the program, and not to its workers.
func (p *program) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(p.cmd.Process.Pid, s))
}

// signalAll sends a signal to the program and its workers, as a terminal does.
func (p *program) signalAll(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(-p.cmd.Process.Pid, s))
}

var workersLine = regexp.MustCompile(`(?m)^processes ([\d ]+):`)

// workers waits until the workers are started and returns their process ids.
func (p *program) workers(t *testing.T) []int {
	t.Helper()
	var pids []int
	eventually(t, "the workers are started", func() bool {
		found := workersLine.FindStringSubmatch(p.stderr.String())
		if found == nil {
			return false
		}
		for _, field := range strings.Fields(found[1]) {
			pid, err := strconv.Atoi(field)
			require.NoError(t, err)
			pids = append(pids, pid)
		}
		return true
	})
	return pids
}

// summary decodes what a program with --json has printed.
func (p *program) summary(t *testing.T) summary {
	t.Helper()
	var s summary
	decoder := json.NewDecoder(strings.NewReader(p.stdout.String()))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&s))
	require.False(t, decoder.More(), "more than one object")
	return s
}

// startDemo starts a demonstration, patient enough for a slow machine unless args say
// otherwise.
func startDemo(t *testing.T, args ...string) *program {
	t.Helper()
	return start(t, append([]string{"demo", "--wait", "1m", "--lease", "10s"}, args...)...)
}

// demo runs a demonstration to its end.
func demo(t *testing.T, args ...string) (*program, int) {
	t.Helper()
	p := startDemo(t, args...)
	return p, p.wait(t)
}

// buffer is a bytes.Buffer that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// eventually polls until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("it does not come about that %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// servers start a server inside the test and a real one, and return its URL.
var servers = map[string]func(*testing.T) string{
	"Embedded": func(t *testing.T) string {
		t.Helper()
		local, err := embedded.Start()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, local.Close()) })
		return local.URL()
	},
	"Real": func(t *testing.T) string {
		t.Helper()
		return redistest.Start(t).URL()
	},
}

// client returns a client that is closed at the end of the test.
func client(t *testing.T, url string) rueidis.Client {
	t.Helper()
	rdb, err := connect(url)
	require.NoError(t, err)
	t.Cleanup(rdb.Close)
	return rdb
}

// keys returns the keys that match a pattern.
func keys(t *testing.T, rdb rueidis.Client, pattern string) []string {
	t.Helper()
	found, err := rdb.Do(t.Context(), rdb.B().Keys().Pattern(pattern).Build()).AsStrSlice()
	require.NoError(t, err)
	return found
}

// counting waits until the demonstration is in the middle of its work.
func counting(t *testing.T, rdb rueidis.Client) {
	t.Helper()
	const some = 20
	eventually(t, "the processes count", func() bool {
		found := keys(t, rdb, "*:counter:*")
		if len(found) != 1 {
			return false
		}
		count, err := readCounter(t.Context(), rdb, found[0])
		return err == nil && count >= some
	})
}
