package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

func TestDemoCountsExactly(t *testing.T) {
	for _, lock := range []string{"rlock", "spin"} {
		for processes := 1; processes <= 3; processes++ {
			t.Run(fmt.Sprintf("%s%d", lock, processes), func(t *testing.T) {
				p, status := demo(t, "--json", "--lock", lock, "--processes", fmt.Sprint(processes), "--iterations", "200")
				require.Zero(t, status)
				s := p.summary(t)
				want := int64(200 * processes)
				assert.Equal(t, want, s.Asked)
				assert.Equal(t, want, s.Acquired)
				assert.Zero(t, s.Skipped)
				assert.Equal(t, want, *s.Counter)
				assert.Zero(t, *s.Lost)
				assert.Positive(t, *s.OpsPerSecond)
				assert.Positive(t, *s.WaitP50)
				assert.GreaterOrEqual(t, *s.WaitP99, *s.WaitP50)
				assert.Positive(t, *s.WaitMax)
				assert.Nil(t, s.CommandsPerAcquisition, "the embedded server does not tell")
			})
		}
	}
}

func TestDemoPrintsOneObjectWithTheseKeys(t *testing.T) {
	p, status := demo(t, "--json", "--iterations", "5")
	require.Zero(t, status)
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(p.stdout.String()), &object))
	var got []string
	for key := range object {
		got = append(got, key)
	}
	assert.ElementsMatch(t, strings.Fields(
		"asked acquired skipped counter lost ops_per_second wait_p50_ms wait_p99_ms wait_max_ms commands_per_acquisition"), got)
	assert.Contains(t, object, "commands_per_acquisition")
	assert.Nil(t, object["commands_per_acquisition"])
}

func TestDemoPrintsATable(t *testing.T) {
	p, status := demo(t, "--iterations", "50")
	require.Zero(t, status)
	for _, row := range []string{
		`asked +│ +100 │`, `acquired +│ +100 │`, `skipped +│ +0 │`, `counter +│ +100 │`, `lost updates +│ +0 │`,
		`operations/s +│ +[\d.]+ │`, `waiting time p50 +│ +[\d.]+ ms │`, `waiting time p99 +│ +[\d.]+ ms │`,
		`waiting time max +│ +[\d.]+ ms │`, `Redis commands per acquisition +│ +not told by this server │`,
	} {
		assert.Regexp(t, row, p.stdout.String())
	}
	assert.Contains(t, p.stdout.String(), "The counter is exactly what was acquired.\n")
	assert.Contains(t, p.stderr.String(), "\n100 of 100 turns\n")
}

// Eight processes that hold for 5 ms need 35 ms to serve the last of them, and each
// waits for 20 ms.
func TestDemoSkipsWhenTheWaitIsOver(t *testing.T) {
	p, status := demo(t, "--json", "--processes", "8", "--iterations", "20", "--wait", "20ms", "--hold", "5ms")
	require.Zero(t, status)
	s := p.summary(t)
	assert.Equal(t, int64(160), s.Asked)
	assert.Positive(t, s.Skipped)
	assert.Equal(t, s.Asked-s.Skipped, s.Acquired)
	assert.Equal(t, s.Asked-s.Skipped, *s.Counter)
}

// Four processes that each spend a second between their GETs and SETs would have to
// run one after another to lose nothing.
func TestDemoWithoutALockLosesUpdates(t *testing.T) {
	args := []string{"--lock", "none", "--processes", "4", "--iterations", "200", "--hold", "5ms"}
	p, status := demo(t, append(args, "--json")...)
	require.Equal(t, statusWrong, status)
	s := p.summary(t)
	assert.Equal(t, int64(800), s.Acquired)
	assert.Positive(t, *s.Lost)
	assert.Equal(t, s.Acquired-*s.Lost, *s.Counter)

	p, status = demo(t, args...)
	require.Equal(t, statusWrong, status)
	assert.Regexp(t, `\d+ updates were lost, as nothing kept the processes apart`, p.stdout.String())
}

func TestDemoCountsCommandsOnARealServer(t *testing.T) {
	server := redistest.Start(t)

	// SET NX, EVALSHA, and in it GET and DEL; the first EVALSHA finds no script.
	p, status := demo(t, "--json", "--redis", server.URL(), "--lock", "spin", "--processes", "1", "--iterations", "100")
	require.Zero(t, status)
	assert.InDelta(t, 4, *p.summary(t).CommandsPerAcquisition, 0.05)

	p, status = demo(t, "--json", "--redis", server.URL(), "--lock", "none", "--processes", "1", "--iterations", "100")
	require.Zero(t, status)
	assert.Zero(t, *p.summary(t).CommandsPerAcquisition)

	p, status = demo(t, "--json", "--redis", server.URL(), "--processes", "2", "--iterations", "100")
	require.Zero(t, status)
	assert.Greater(t, *p.summary(t).CommandsPerAcquisition, 2.0)
}

func TestDemoTakesTheServerFromTheEnvironment(t *testing.T) {
	server := redistest.Start(t)
	t.Setenv(redisVariable, server.URL())
	t.Setenv(asProgram, "1") // the workers are this binary
	var stdout, stderr buffer
	status := run([]string{"demo", "--iterations", "20"}, strings.NewReader(""), &stdout, &stderr)
	require.Zero(t, status, stderr.String())
	assert.Contains(t, stderr.String(), "on the server at "+server.Addr())
}

func TestDemoLeavesNothingBehind(t *testing.T) {
	for where, newServer := range servers {
		t.Run(where, func(t *testing.T) {
			url := newServer(t)
			rdb := client(t, url)
			for range 2 { // the second one starts at 0 as well
				_, status := demo(t, "--redis", url, "--iterations", "50")
				require.Zero(t, status)
				assert.Empty(t, keys(t, rdb, "*"))
			}
		})
	}
}

func TestTwoDemosShareAServer(t *testing.T) {
	server := redistest.Start(t)
	first := startDemo(t, "--redis", server.URL(), "--iterations", "200")
	second := startDemo(t, "--redis", server.URL(), "--iterations", "200")
	third := startDemo(t, "--redis", server.URL(), "--iterations", "200", "--lock", "spin")
	for _, p := range []*program{first, second, third} {
		assert.Zero(t, p.wait(t))
	}
	assert.Empty(t, keys(t, client(t, server.URL()), "*"))
}

func TestInterruptEndsAndUnlocks(t *testing.T) {
	signals := map[string]struct {
		send   func(*program, *testing.T, syscall.Signal)
		signal syscall.Signal
		status int
	}{
		"Terminal":  {(*program).signalAll, syscall.SIGINT, 130},
		"Parent":    {(*program).signal, syscall.SIGINT, 130},
		"Terminate": {(*program).signal, syscall.SIGTERM, 143},
	}
	for name, s := range signals {
		t.Run(name, func(t *testing.T) {
			for where, newServer := range servers {
				t.Run(where, func(t *testing.T) {
					url := newServer(t)
					rdb := client(t, url)
					for _, hold := range []string{"0s", "1h"} {
						p := startDemo(t, "--redis", url, "--iterations", "1000000", "--wait", "1h", "--lease", "1h", "--hold", hold)
						p.workers(t)
						if hold == "0s" {
							counting(t, rdb)
						} else {
							eventually(t, "the lock is taken", func() bool { return isLocked(t, rdb) })
						}
						s.send(p, t, s.signal)
						require.Equal(t, s.status, p.wait(t))
						assert.Regexp(t, `lost updates +│ +0 │`, p.stdout.String())
						assert.Contains(t, p.stdout.String(), "It was interrupted")
						assert.Empty(t, keys(t, rdb, "*"), "nothing stays locked")
					}
				})
			}
		})
	}
}

// A process that holds until it is told to stop, and then must write to a server that is
// paused, cannot finish its turn.
func TestSecondInterruptKills(t *testing.T) {
	server := redistest.Start(t)
	p := startDemo(t, "--redis", server.URL(), "--processes", "2", "--lock", "none", "--hold", "1h")
	p.workers(t)
	eventually(t, "both hold: each has read the counter for the second time", func() bool {
		stats, _ := server.Do(t, "INFO", "commandstats").(string)
		return strings.Contains(stats, "cmdstat_get:calls=4,")
	})
	server.Pause(t)
	p.signal(t, syscall.SIGINT)
	eventually(t, "the first one is seen", func() bool { return strings.Contains(p.stderr.String(), "once more kills them") })
	p.signal(t, syscall.SIGINT)
	require.Equal(t, statusWrong, p.wait(t), "nobody knows the counter")
	assert.Regexp(t, `processes killed +│ +2 │`, p.stdout.String())
	assert.Regexp(t, `counter +│ +unknown │`, p.stdout.String())
}

// A terminal's signal may reach a worker after its parent has told it to stop.
func TestLateSignalDoesNotKillAWorker(t *testing.T) {
	server := redistest.Start(t)
	rdb := client(t, server.URL())
	p := startDemo(t, "--redis", server.URL(), "--iterations", "1000000")
	workers := p.workers(t)
	counting(t, rdb)
	server.Pause(t)
	p.signal(t, syscall.SIGINT)
	eventually(t, "the parent has told them", func() bool { return strings.Contains(p.stderr.String(), "once more kills them") })
	for range 20 {
		for _, pid := range workers {
			_ = syscall.Kill(pid, syscall.SIGINT) // it may be gone
		}
	}
	server.Resume(t)
	require.Equal(t, 130, p.wait(t))
	assert.NotContains(t, p.stdout.String(), "killed")
	assert.Empty(t, keys(t, rdb, "*"))
}

func TestKilledWorkerLosesAtMostOne(t *testing.T) {
	for where, newServer := range servers {
		t.Run(where, func(t *testing.T) {
			url := newServer(t)
			rdb := client(t, url)
			p := startDemo(t, "--redis", url, "--iterations", "300", "--processes", "3", "--hold", "1ms", "--lease", "8s")
			workers := p.workers(t)
			counting(t, rdb)
			require.NoError(t, syscall.Kill(workers[1], syscall.SIGKILL))
			require.Zero(t, p.wait(t))
			assert.Contains(t, p.stderr.String(), fmt.Sprintf("process %d was killed", workers[1]))
			assert.Regexp(t, `processes killed +│ +1 │`, p.stdout.String())
			assert.Regexp(t, `lost updates +│ +[01] │`, p.stdout.String())
			assert.Contains(t, p.stdout.String(), "1 process was killed: the counter is at most 1 behind")
		})
	}
}

// The killed process held the lock and had not written: what is missing is explained.
func TestKilledHolderIsExplained(t *testing.T) {
	for where, newServer := range servers {
		t.Run(where, func(t *testing.T) {
			url := newServer(t)
			p := startDemo(t, "--json", "--redis", url, "--processes", "1", "--iterations", "5", "--hold", "1h", "--lease", "1h")
			workers := p.workers(t)
			eventually(t, "the parent knows that the lock is taken", func() bool {
				return strings.Contains(p.stderr.String(), "1 of 5 turns")
			})
			require.NoError(t, syscall.Kill(workers[0], syscall.SIGKILL))
			require.Zero(t, p.wait(t))
			s := p.summary(t)
			assert.Equal(t, int64(1), s.Acquired)
			assert.Equal(t, int64(1), *s.Lost)
		})
	}
}

// A worker that is told to stop, and not its parent, stops as it should.
func TestWorkerCanBeStoppedAlone(t *testing.T) {
	server := redistest.Start(t)
	rdb := client(t, server.URL())
	p := startDemo(t, "--redis", server.URL(), "--iterations", "1000", "--hold", "1ms")
	workers := p.workers(t)
	counting(t, rdb)
	require.NoError(t, syscall.Kill(workers[0], syscall.SIGTERM))
	require.Zero(t, p.wait(t))
	assert.Regexp(t, fmt.Sprintf(`process %d was told to stop after \d+ turns`, workers[0]), p.stderr.String())
	assert.NotContains(t, p.stdout.String(), "killed")
}

func TestWorkersEndWithTheirParent(t *testing.T) {
	server := redistest.Start(t)
	rdb := client(t, server.URL())
	p := startDemo(t, "--redis", server.URL(), "--iterations", "1000000", "--hold", "1ms", "--lease", "1h", "--wait", "1h")
	p.workers(t)
	counting(t, rdb)
	p.signal(t, syscall.SIGKILL)
	assert.Equal(t, -1, p.wait(t))
	assert.False(t, isLocked(t, rdb))
	left := keys(t, rdb, "*")
	require.Len(t, left, 1, "the counter, which ends by itself")
	seconds, err := rdb.Do(t.Context(), rdb.B().Ttl().Key(left[0]).Build()).AsInt64()
	require.NoError(t, err)
	assert.Positive(t, seconds)
}

func TestLostLeasesAreCounted(t *testing.T) {
	args := []string{"--processes", "1", "--iterations", "2", "--hold", "2s", "--lease", "1s"}

	// This lock tells that it is lost, so the stale value is not written.
	p, status := demo(t, args...)
	require.Equal(t, statusWrong, status)
	assert.Regexp(t, `counter +│ +0 │`, p.stdout.String())
	assert.Regexp(t, `leases lost +│ +2 │`, p.stdout.String())

	// That one does not: alone, it gets away with it.
	p, status = demo(t, append(args, "--lock", "spin")...)
	require.Zero(t, status)
	assert.Regexp(t, `counter +│ +2 │`, p.stdout.String())
	assert.Regexp(t, `leases lost +│ +2 │`, p.stdout.String())
}

func TestServerThatDiesStopsTheWorkers(t *testing.T) {
	for _, lock := range lockKinds {
		t.Run(lock, func(t *testing.T) {
			server := redistest.Start(t)
			p := startDemo(t, "--redis", server.URL(), "--lock", lock, "--iterations", "1000000")
			workers := p.workers(t)
			counting(t, client(t, server.URL()))
			server.Kill()
			require.Equal(t, statusWrong, p.wait(t))
			for _, pid := range workers {
				assert.Equal(t, 1, strings.Count(p.stderr.String(), fmt.Sprintf("process %d stopped: ", pid)))
			}
			assert.Regexp(t, `counter +│ +unknown │`, p.stdout.String())
			assert.Regexp(t, `acquired +│ +[1-9]\d+ │`, p.stdout.String())
			assert.Regexp(t, `processes stopped by a fault +│ +2 │`, p.stdout.String())
		})
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	server := redistest.Start(t)
	url := server.URL()
	server.Stop()

	p, status := demo(t, "--redis", url)
	require.Equal(t, statusUsage, status)
	assert.Empty(t, p.stdout.String())
	assert.Regexp(t, `\Arlock: no Redis server to work with at \S+: [^\n]*refused\n\z`, p.stderr.String())
}

func TestServerThatDoesNotAnswer(t *testing.T) {
	server := redistest.Start(t)
	server.Pause(t)
	p, status := demo(t, "--redis", server.URL())
	require.Equal(t, statusUsage, status)
	assert.Regexp(t, `\Arlock: [^\n]+\n\z`, p.stderr.String())
}

func TestServerThatRefusesToWrite(t *testing.T) {
	server := redistest.Start(t, "--maxmemory", "1")
	p, status := demo(t, "--redis", server.URL())
	require.Equal(t, statusUsage, status)
	assert.Regexp(t, `\Arlock: the server at \S+ is of no use: [^\n]+OOM[^\n]+\n\z`, p.stderr.String())
}

func isLocked(t *testing.T, rdb rueidis.Client) bool {
	t.Helper()
	locks, err := rlock.New(rdb)
	require.NoError(t, err)
	defer func() { require.NoError(t, locks.Close()) }()
	locked, err := locks.NewLock(lockName).IsLocked(t.Context())
	require.NoError(t, err)
	return locked
}
