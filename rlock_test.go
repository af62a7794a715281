//go:build unix

// Package rlock_test lets several processes lock on a real server, end to end, and
// kills, freezes and terminates them.
package rlock_test

import (
	"crypto/rand"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/internal/worker"
)

var server *redistest.Server

func TestMain(m *testing.M) {
	worker.Main()
	goleak.VerifyTestMain(redistest.Main(m, &server))
}

func TestProcessesExcludeEachOther(t *testing.T) {
	t.Parallel()
	const processes = 4
	for kind, public := range map[string]int{"HandOver": 0, "Public": processes, "Both": processes / 2} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			job := worker.Job{Duty: worker.Count, Server: server.Addr(), Name: name, Goroutines: 4, Rounds: 60, GracePeriod: worker.Limit}
			crew := start(t, processes-public, job)
			job.Public = true
			crew = append(crew, start(t, public, job)...)
			total := finish(t, crew)

			assert.Equal(t, processes*job.Goroutines*job.Rounds, total.Acquired+total.Skipped)
			assert.Equal(t, total.Acquired, counter(t, name))
			assert.Zero(t, total.Lost+total.Faults)
			assert.Zero(t, exists(t, server, name), "the lock is free in the end")
		})
	}
}

func TestWitnessSeesTwoAtOnce(t *testing.T) {
	t.Parallel()
	t.Run("InTwoProcesses", func(t *testing.T) {
		t.Parallel()
		name := fresh(t)
		first, second := obedient(t, worker.Job{Name: name}), obedient(t, worker.Job{Name: name})
		require.Equal(t, "nil", first.Ask(t, "enter"))
		assert.Contains(t, second.Ask(t, "enter"), "two inside at once")
		assert.Equal(t, "nil", first.Ask(t, "leave"))
		assert.Equal(t, "nil", second.Ask(t, "enter"))
		assert.Contains(t, first.Ask(t, "leave"), "two inside at once")
	})
	t.Run("WhenNobodyLocks", func(t *testing.T) {
		t.Parallel()
		name := fresh(t)
		crew := start(t, 2, worker.Job{
			Duty: worker.Count, Server: server.Addr(), Name: name, Goroutines: 4, Unlocked: true,
		})
		var overlaps int
		for _, p := range crew { // it stops when it sees the other, or itself
			if p.Tally(t).Overlap != "" {
				overlaps++
			}
		}
		assert.NotZero(t, overlaps)
	})
}

func TestSameGoroutineOfTwoProcessesIsTwoOwners(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	first, second := obedient(t, worker.Job{Name: name}), obedient(t, worker.Job{Name: name})
	// An obedient process locks in its main goroutine, whose number is always the same.
	owner := held(t, first.Ask(t, "lock "+name))
	assert.Equal(t, "not acquired", second.Ask(t, "trylock "+name))
	assert.Equal(t, "nil", first.Ask(t, "unlock"))
	other := held(t, second.Ask(t, "trylock "+name))
	assert.Equal(t, owner, other)
}

func TestKilledHolderIsSucceededWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	holder := obedient(t, worker.Job{Name: name, WatchdogTimeout: 6 * time.Second})
	held(t, holder.Ask(t, "lock "+name))
	require.Equal(t, "nil", holder.Ask(t, "enter"))
	job := worker.Job{Duty: worker.Count, Server: server.Addr(), Name: name, Goroutines: 2, Rounds: 20, GracePeriod: worker.Limit}
	crew := start(t, 2, job)
	eventually(t, "both processes wait", func() bool { return listeners(t, server, name) == len(crew) })
	least := leaseEnd(t, name)
	eventually(t, "the lease is renewed", func() bool { return leaseEnd(t, name) > least+100 })

	holder.Kill()
	end := leaseEnd(t, name)
	total := finish(t, crew)
	assert.GreaterOrEqual(t, total.First, end, "nobody has the lock before the lease ends")
	assert.Less(t, total.First, end+5000, "somebody has it soon after")
	assert.Equal(t, len(crew)*job.Goroutines*job.Rounds, total.Acquired+total.Skipped)
	assert.Equal(t, total.Acquired, counter(t, name))
}

func TestFrozenHolderLearnsOfItsLossFromTheFirstLook(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"Err", "Done", "ContextErr", "ContextDone"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			frozen, other := obedient(t, worker.Job{Name: name, WatchdogTimeout: 5 * time.Second}), obedient(t, worker.Job{Name: name})
			held(t, frozen.Ask(t, "lock "+name))
			require.Equal(t, "nil", frozen.Ask(t, "look "+way))
			require.Equal(t, "freezing", frozen.Ask(t, "freeze "+way)) // with SIGSTOP
			held(t, other.Ask(t, "lock "+name))

			frozen.Tell(t, "") // it is there when the process goes on
			frozen.Signal(t, syscall.SIGCONT)
			lost := []string{"lost: lease expired", "lost: server unreachable"} // it may have been renewing just then
			assert.Contains(t, lost, frozen.Hear(t))
			assert.Contains(t, lost, frozen.Ask(t, "unlock"))
			assert.Equal(t, "nil", other.Ask(t, "unlock"), "the other one's hold is not touched")
		})
	}
}

func TestFrozenWorkLearnsOfItsLossFromTheFirstLook(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"ContextErr", "ContextDone"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			frozen, other := obedient(t, worker.Job{Name: name, WatchdogTimeout: 5 * time.Second}), obedient(t, worker.Job{Name: name})
			require.Equal(t, "freezing", frozen.Ask(t, "do "+name+" "+way)) // with SIGSTOP, while Do runs
			held(t, other.Ask(t, "lock "+name))

			frozen.Tell(t, "") // it is there when the process goes on
			frozen.Signal(t, syscall.SIGCONT)
			lost := []string{"lost: lease expired", "lost: server unreachable"}
			assert.Contains(t, lost, frozen.Hear(t), "the context of the work")
			assert.Contains(t, lost, frozen.Hear(t), "Do")
			assert.Equal(t, "nil", other.Ask(t, "unlock"), "the other one's hold is not touched")
		})
	}
}

func TestKilledWaiterDisturbsNobody(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	holder, first, second := obedient(t, worker.Job{Name: name}), obedient(t, worker.Job{Name: name}), obedient(t, worker.Job{Name: name})
	held(t, holder.Ask(t, "lock "+name))
	first.Tell(t, "lock "+name)
	eventually(t, "the first waits", func() bool { return listeners(t, server, name) == 1 })
	second.Tell(t, "lock "+name)
	eventually(t, "the second waits", func() bool { return listeners(t, server, name) == 2 })

	first.Kill()
	assert.Equal(t, "nil", holder.Ask(t, "unlock"))
	held(t, second.Hear(t))
	assert.Equal(t, "nil", second.Ask(t, "unlock"))
	assert.Zero(t, exists(t, server, name))
}

// A frozen process still listens, so that the lock is granted to it. Those behind it have
// timers for the lease of the first holder, which is far longer than the grant's.
func TestFrozenWaiterCostsTheOthersItsFirstLeaseOnly(t *testing.T) {
	t.Parallel()
	for kind, c := range map[string]struct {
		frozen int
		after  func(granter *worker.Process)
	}{
		"One":            {frozen: 1, after: func(*worker.Process) {}},
		"Two":            {frozen: 2, after: func(*worker.Process) {}},
		"AndGranterDies": {frozen: 1, after: (*worker.Process).Kill},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			job := worker.Job{Name: name}
			holder := obedient(t, job)
			held(t, holder.Ask(t, "lock "+name))
			line := queue(t, name, c.frozen+2, job)
			for _, p := range line[:c.frozen] {
				p.Freeze(t)
			}
			began := time.Now()
			assert.Equal(t, "nil", holder.Ask(t, "unlock"))
			c.after(holder)
			next, last := line[c.frozen], line[c.frozen+1]
			held(t, next.Hear(t))
			took := time.Since(began)
			require.Equal(t, "nil", next.Ask(t, "enter"))
			least := time.Duration(c.frozen) * 3 * time.Second
			assert.GreaterOrEqual(t, took, least-100*time.Millisecond, "nobody has the lock before the frozen one's lease ends")
			assert.Less(t, took, least+8*time.Second, "the first holder's lease of 30 s is not waited for")

			for i, p := range line[:c.frozen] { // they queue again
				p.Signal(t, syscall.SIGCONT)
				eventually(t, "it queues", func() bool { return queued(t, name) == int64(1+i+1) })
			}
			require.Equal(t, "nil", next.Ask(t, "leave"))
			assert.Equal(t, "nil", next.Ask(t, "unlock"))
			for _, p := range append([]*worker.Process{last}, line[:c.frozen]...) {
				held(t, p.Hear(t))
				require.Equal(t, "nil", p.Ask(t, "enter"))
				require.Equal(t, "nil", p.Ask(t, "leave"))
				assert.Equal(t, "nil", p.Ask(t, "unlock"))
			}
			assert.Zero(t, exists(t, server, name))
		})
	}
}

func TestKilledWaitersAreSkippedAtOnce(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	job := worker.Job{Name: name}
	holder := obedient(t, job)
	held(t, holder.Ask(t, "lock "+name))
	line := queue(t, name, 4, job)
	for _, p := range line[:3] {
		p.Kill()
	}
	eventually(t, "the server has noticed", func() bool { return listeners(t, server, name) == 1 })
	assert.Equal(t, "nil", holder.Ask(t, "unlock"))
	granted := server.Do(t, "HKEYS", name)
	held(t, line[3].Hear(t))
	assert.Equal(t, granted, server.Do(t, "HKEYS", name), "the release itself has skipped the dead")
	assert.Equal(t, "nil", line[3].Ask(t, "unlock"))
}

// queue starts n processes that wait for the lock, in this order.
func queue(t *testing.T, name string, n int, job worker.Job) []*worker.Process {
	t.Helper()
	var line []*worker.Process
	for range n {
		p := obedient(t, job)
		p.Tell(t, "lock "+name)
		line = append(line, p)
		eventually(t, "it queues", func() bool { return queued(t, name) == int64(len(line)) })
	}
	return line
}

// queued returns how many processes have left a ticket for the lock.
func queued(t *testing.T, name string) any {
	t.Helper()
	return server.Do(t, "LLEN", "rlock_queue:{"+name+"}")
}

func TestTerminatedProcessThatClosesLeavesNothingLocked(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	nested, single, wanted := name+":nested", name+":single", name+":wanted"
	closing, other := obedient(t, worker.Job{Name: name}), obedient(t, worker.Job{Name: name})
	for _, name := range []string{nested, single, nested} {
		held(t, closing.Ask(t, "lock "+name))
	}
	held(t, other.Ask(t, "lock "+wanted))
	require.Equal(t, "queued", closing.Ask(t, "queue "+wanted))
	eventually(t, "it waits", func() bool { return listeners(t, server, wanted) == 1 })
	other.Tell(t, "lock "+nested)
	eventually(t, "the other one waits", func() bool { return listeners(t, server, nested) == 1 })

	closing.Signal(t, syscall.SIGTERM)
	assert.ElementsMatch(t, []string{"queue: client closed", "closed: nil"}, []string{closing.Hear(t), closing.Hear(t)})
	closing.Succeed(t)
	held(t, other.Hear(t))
	assert.Zero(t, exists(t, server, single))
	assert.Equal(t, "nil", other.Ask(t, "unlock"))
	assert.Equal(t, "nil", other.Ask(t, "unlock"))
	assert.Zero(t, exists(t, server, nested, wanted))
}

func TestServerRestartFreesALock(t *testing.T) {
	t.Parallel()
	name := fresh(t)
	volatile := redistest.Start(t)
	job := worker.Job{
		Name:            name,
		Server:          volatile.Addr(),
		Witness:         server.Addr(),
		WatchdogTimeout: 10 * time.Minute, // nothing but the reconnection tells
		GracePeriod:     worker.Limit,
	}
	holder, waiter := obedient(t, job), obedient(t, job)
	held(t, holder.Ask(t, "lock "+name))
	waiter.Tell(t, "lock "+name)
	eventually(t, "it waits", func() bool { return listeners(t, volatile, name) == 1 })

	volatile.Restart(t)
	held(t, waiter.Hear(t))
	eventually(t, "the holder learns of it", func() bool { return holder.Ask(t, "look Err") != "nil" })
	assert.Equal(t, "lost: removed or taken over", holder.Ask(t, "look Err"))
	assert.Equal(t, "lost: removed or taken over", holder.Ask(t, "unlock"))
	assert.Equal(t, "nil", waiter.Ask(t, "unlock"), "the waiter's hold is not touched")
}

func TestRunGoesOnAfterServerRestart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		grace time.Duration
		down  bool // until every process has met a fault
	}{
		{name: "AtOnce", grace: worker.Limit},
		{name: "AfterFaultsWereReturned", grace: 50 * time.Millisecond, down: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			volatile := redistest.Start(t)
			name := fresh(t)
			crew := start(t, 3, worker.Job{
				Duty: worker.Count, Server: volatile.Addr(), Witness: server.Addr(), Name: name,
				Goroutines: 3, GracePeriod: c.grace, Faulty: true,
			})
			progress := func(p *worker.Process) worker.Tally {
				p.Tell(t, "report")
				return p.Tally(t)
			}
			for _, p := range crew {
				eventually(t, "it counts", func() bool { return progress(p).Acquired > 20 })
			}
			if c.down {
				volatile.Kill()
				for _, p := range crew {
					eventually(t, "it meets faults", func() bool { return progress(p).Faults > 20 })
				}
			}
			volatile.Restart(t)
			for _, p := range crew {
				before := progress(p).Acquired
				eventually(t, "it counts on", func() bool { return progress(p).Acquired > before+20 })
			}
			t.Logf("%+v", finish(t, crew)) // fails unless all errors were faults or losses
			assert.Zero(t, exists(t, volatile, name))
		})
	}
}

// fresh returns the name of a lock that nobody has used, not even this test before.
func fresh(t *testing.T) string {
	t.Helper()
	return t.Name() + "-" + rand.Text()
}

// start starts n processes with one job.
func start(t *testing.T, n int, job worker.Job) []*worker.Process {
	t.Helper()
	crew := make([]*worker.Process, n)
	for i := range crew {
		crew[i] = worker.Start(t, job)
	}
	return crew
}

// finish lets processes that count come to their end, and returns the sum of what they
// have done, and when the first had the lock. Nobody may have seen an overlap.
func finish(t *testing.T, crew []*worker.Process) worker.Tally {
	t.Helper()
	for _, p := range crew {
		p.Finish(t)
	}
	var total worker.Tally
	for _, p := range crew {
		tally := p.Tally(t)
		p.Succeed(t)
		assert.Empty(t, tally.Overlap)
		total.Acquired += tally.Acquired
		total.Skipped += tally.Skipped
		total.Lost += tally.Lost
		total.Faults += tally.Faults
		if total.First == 0 || 0 < tally.First && tally.First < total.First {
			total.First = tally.First
		}
	}
	return total
}

// obedient starts a process that obeys. It is on the shared server by default.
func obedient(t *testing.T, job worker.Job) *worker.Process {
	t.Helper()
	job.Duty = worker.Obey
	if job.GracePeriod == 0 {
		job.GracePeriod = worker.Limit // a slow machine is no fault
	}
	if job.Server == "" {
		job.Server = server.Addr()
	}
	p := worker.Start(t, job)
	require.Equal(t, "ready", p.Hear(t))
	return p
}

// held requires that an answer to "lock" says that the lock was acquired, and returns
// by which owner.
func held(t *testing.T, answer string) (owner string) {
	t.Helper()
	owner, ok := strings.CutPrefix(answer, "held ")
	require.True(t, ok, "the answer is %q", answer)
	return owner
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for give := time.Now().Add(worker.Limit); !holds(); <-tick.C {
		require.True(t, time.Now().Before(give), "%s: not for %v", what, worker.Limit)
	}
}

// listeners returns how many processes wait for a lock, or did until just now.
func listeners(t *testing.T, s *redistest.Server, name string) int {
	t.Helper()
	reply, ok := s.Do(t, "PUBSUB", "NUMSUB", "redisson_lock__channel:{"+name+"}").([]any)
	require.True(t, ok)
	require.Len(t, reply, 2)
	n, ok := reply[1].(int64)
	require.True(t, ok)
	return int(n)
}

// exists returns how many of the locks anybody has.
func exists(t *testing.T, s *redistest.Server, names ...string) int64 {
	t.Helper()
	n, ok := s.Do(t, append([]string{"EXISTS"}, names...)...).(int64)
	require.True(t, ok)
	return n
}

// leaseEnd returns when the present lease of a lock ends if nobody renews it, in
// milliseconds of the wall clock, or a little less.
func leaseEnd(t *testing.T, name string) int64 {
	t.Helper()
	now := time.Now().UnixMilli()
	ttl, ok := server.Do(t, "PTTL", name).(int64)
	require.True(t, ok)
	require.Positive(t, ttl, "somebody has the lock")
	return now + ttl
}

// counter returns what the processes have counted to.
func counter(t *testing.T, name string) int {
	t.Helper()
	text, ok := server.Do(t, "GET", worker.CounterKey(name)).(string)
	require.True(t, ok)
	n, err := strconv.Atoi(strings.TrimSpace(text))
	require.NoError(t, err)
	return n
}
