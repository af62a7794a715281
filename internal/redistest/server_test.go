package redistest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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

func TestStartReturnsAServerThatAnswers(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--databases", "3")
	assert.Equal(t, "PONG", s.Do(t, "PING"))
	assert.Equal(t, []any{"databases", "3"}, s.Do(t, "CONFIG", "GET", "databases"))
	assert.Equal(t, "redis://"+s.Addr(), s.URL())
	assert.Contains(t, s.Do(t, "INFO", "server"), fmt.Sprintf("process_id:%d\r\n", s.Pid()))
	assert.NotEmpty(t, s.Log())
}

func TestServersOfOneTestBinaryDoNotMeet(t *testing.T) {
	t.Parallel()
	var all [8]*redistest.Server
	var starts sync.WaitGroup
	for i := range all {
		starts.Go(func() {
			s, err := redistest.Launch()
			if assert.NoError(t, err) {
				all[i] = s
			}
		})
	}
	starts.Wait()
	seen := map[string]bool{}
	for _, s := range all {
		if s == nil {
			continue
		}
		defer s.Stop()
		assert.False(t, seen[s.Addr()])
		seen[s.Addr()] = true
		assert.EqualValues(t, 1, s.Do(t, "INCR", "k"))
	}
}

func TestLaunchReportsWhyTheServerDidNotStart(t *testing.T) {
	t.Parallel()
	_, err := redistest.Launch("--no-such-option", "1")
	require.Error(t, err)
	assert.Contains(t, err.Error(), "no-such-option")
	assert.NotContains(t, err.Error(), "\n")
}

func TestMissingServerIsOneSentenceThatSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("RLOCK_TEST_SERVER", "")
	_, err := redistest.Launch()
	require.Error(t, err)
	assert.Contains(t, err.Error(), "install redis-server or valkey-server")
	assert.NotContains(t, err.Error(), "\n")
}

func TestNamedServerIsPreferredAndMustExist(t *testing.T) {
	found, err := redistest.Binary()
	require.NoError(t, err)
	link := filepath.Join(t.TempDir(), "mine")
	require.NoError(t, os.Symlink(found, link))

	t.Setenv("RLOCK_TEST_SERVER", link)
	got, err := redistest.Binary()
	require.NoError(t, err)
	assert.Equal(t, link, got)

	t.Setenv("RLOCK_TEST_SERVER", link+"2")
	_, err = redistest.Binary()
	require.ErrorContains(t, err, "RLOCK_TEST_SERVER")
	assert.NotContains(t, err.Error(), "\n")
}

func TestPausedServerAcceptsAndDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Call(ctx, "SET", "k", "v")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.True(t, s.Running())

	s.Resume(t)
	assert.Equal(t, "PONG", s.Do(t, "PING"))
	s.Resume(t)
}

func TestPausedServerCanBeKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Pause(t)
	s.Kill()
	assert.False(t, s.Running())
	s.Kill()
	_, err := s.Call(t.Context(), "PING")
	assert.Error(t, err)
}

func TestRestartKeepsTheAddressAndLosesTheData(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	addr, pid := s.Addr(), s.Pid()
	s.Do(t, "SET", "k", "v")
	for range 5 {
		s.Restart(t)
		assert.Equal(t, addr, s.Addr())
		assert.NotEqual(t, pid, s.Pid())
		assert.Nil(t, s.Do(t, "GET", "k"))
		s.Do(t, "SET", "k", "v")
	}
}

func TestStopRemovesTheServersDirectoryAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	s, err := redistest.Launch()
	require.NoError(t, err)
	dir, ok := s.Do(t, "CONFIG", "GET", "dir").([]any)
	require.True(t, ok)
	path, ok := dir[1].(string)
	require.True(t, ok)
	require.DirExists(t, path)
	s.Stop()
	s.Stop()
	assert.False(t, s.Running())
	assert.NoDirExists(t, path)
}

func TestCallReturnsErrorReplies(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Do(t, "SET", "k", "v")
	_, err := s.Call(t.Context(), "HGET", "k", "f")
	var refusal redistest.ReplyError
	require.ErrorAs(t, err, &refusal)
	assert.True(t, strings.HasPrefix(refusal.Error(), "WRONGTYPE"), refusal)
}

func TestClientIsConnectedAndItsCommandsAreCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	s.ResetStats(t)
	for range 3 {
		require.NoError(t, rdb.Do(t.Context(), rdb.B().Incr().Key("k").Build()).Error())
	}
	stats := s.CommandStats(t)
	assert.EqualValues(t, 3, stats["incr"].Calls)
	assert.Positive(t, stats["incr"].USec)
	assert.NotContains(t, stats, "info", "Do must not send more than it is told to")
	assert.Equal(t, "3", s.Do(t, "GET", "k"))
}

func TestMainRunsOneServerForThePackage(t *testing.T) {
	t.Parallel()
	shared.Attach(t)
	assert.Equal(t, "PONG", shared.Do(t, "PING"))
}

// A failing test that names itself here is run in a child process.
const childEnv = "REDISTEST_CHILD"

func child(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+name+"$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd
}

func TestLogIsAttachedToAFailingTest(t *testing.T) {
	if os.Getenv(childEnv) == t.Name() {
		s := redistest.Start(t)
		s.Client(t)
		t.Fatalf("my server is %d", s.Pid())
	}
	t.Parallel()
	out, err := child(t, t.Name()).CombinedOutput()
	require.Error(t, err, "%s", out)
	assert.Equal(t, 1, strings.Count(string(out), "log of the server at"), "%s", out)
	assert.Contains(t, string(out), "Ready to accept connections")
}

func TestServerDiesWithTheTestBinary(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills a child with its parent")
	}
	if os.Getenv(childEnv) == t.Name() {
		s := redistest.Start(t)
		fmt.Printf("pid=%d\n", s.Pid())
		require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	}
	t.Parallel()
	out, err := child(t, t.Name()).CombinedOutput()
	require.Error(t, err)
	_, line, ok := strings.Cut(string(out), "pid=")
	require.True(t, ok, "%s", out)
	line, _, _ = strings.Cut(line, "\n")
	pid, err := strconv.Atoi(line)
	require.NoError(t, err)
	assert.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(stat), ") Z ") // nobody may be there to reap it
	}, 10*time.Second, time.Millisecond)
}
