//go:build unix

package history

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/internal/worker"
)

// A trial is several processes that lock at random for a while.
type trial struct {
	processes  int
	operations int // of each process
	owners     int
	timeouts   []time.Duration // of the watchdogs, for one process after another
	public     []bool          // which of them do not hand over, likewise
	names      []string
	patient    []string
	crowds     Crowds
	long       string
	linger     time.Duration
	careless   bool
	// faults, if there are any, are begun for the server and each process.
	faults func(tb testing.TB, f *faults, crew []member, seed uint64)
	// begin, if there is one, tells the processes to begin, instead of all at once.
	begin func(server *redistest.Server, crew []member)
}

// A member is a process and the proxy through which it reaches the server.
type member struct {
	*worker.Process

	proxy *redistest.Proxy
}

// await returns when the process has done its task, and fails the test if it does not
// get any further.
func (m member) await(t *testing.T) {
	t.Helper()
	var last string
	var since time.Time
	for line := m.Hear(t); line != "done"; line = m.Hear(t) {
		if line != last {
			last, since = line, time.Now()
		}
		require.Less(t, time.Since(since), worker.Limit, "process %d does not get further than %s operations", m.Pid(), line)
	}
}

// run returns all that was recorded.
func (tr trial) run(t *testing.T) []Record {
	t.Helper()
	server := redistest.Start(t)
	dir, seed := t.TempDir(), number(t, "RLOCK_HISTORY_SEED", rand.Uint64())
	t.Logf("RLOCK_HISTORY_SEED=%d", seed)
	scribe, err := newScribe(filepath.Join(dir, "faults"))
	require.NoError(t, err)
	faults := newFaults(scribe, server)
	defer faults.end()

	var crew []member
	for i := range tr.processes {
		number := i + 1
		proxy := server.Proxy(t)
		task, err := json.Marshal(Task{
			Process:    number,
			File:       filepath.Join(dir, fmt.Sprint("process", number)),
			Operations: tr.operations,
			Owners:     tr.owners,
			Crowds:     tr.crowds,
			Seed:       seed,
			Names:      tr.names,
			Patient:    tr.patient,
			Long:       tr.long,
			Linger:     tr.linger,
			Careless:   tr.careless,
		})
		require.NoError(t, err)
		var grace time.Duration // the library's
		if tr.faults == nil {
			grace = worker.Limit // a slow machine is no fault
		}
		p := worker.Start(t, worker.Job{
			Duty:            Role.Duty,
			GracePeriod:     grace,
			Server:          proxy.Addr(),
			WatchdogTimeout: tr.timeouts[i%len(tr.timeouts)],
			Public:          tr.public[i%len(tr.public)],
			Task:            task,
		})
		require.Equal(t, "ready", p.Hear(t))
		crew = append(crew, member{p, proxy})
	}
	if tr.faults != nil {
		tr.faults(t, faults, crew, seed)
	}
	if tr.begin != nil {
		tr.begin(server, crew)
	} else {
		for _, p := range crew {
			p.Tell(t, "begin")
		}
	}
	for _, p := range crew {
		p.await(t)
	}
	faults.end()
	for _, p := range crew {
		p.Finish(t)
	}
	for _, p := range crew {
		p.Succeed(t)
	}
	require.NoError(t, scribe.close())
	return collect(t, dir)
}

// collect returns the records of all files.
func collect(t *testing.T, dir string) []Record {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []Record
	for _, f := range files {
		records, err := ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		all = append(all, records...)
	}
	return all
}
