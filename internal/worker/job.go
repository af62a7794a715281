//go:build unix

package worker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/rlock"
)

// variable is the environment variable that makes a process a worker.
const variable = "RLOCK_TEST_WORKER"

// A Duty is what a process does all its life.
type Duty string

const (
	// Obey does what the parent says, in the process's main goroutine; see Process.Ask.
	Obey Duty = "obey"
	// Count locks and counts in many goroutines and ends with a Tally. To the line
	// "report" it answers with a Tally of what it has done so far.
	Count Duty = "count"
)

// A Job is what a process is started for.
type Job struct {
	Duty Duty
	// Server is the host:port of the server for the locks.
	Server string
	// Witness is the host:port of the server for the witness and the counter. They
	// are on Server if it is empty.
	Witness string
	// Name is the name of the lock of Count, and that which the keys of the witness
	// and the counter begin with.
	Name string
	// WatchdogTimeout and GracePeriod are those of the library if they are zero.
	WatchdogTimeout time.Duration
	GracePeriod     time.Duration
	// Public makes the process release its locks in public instead of handing them over.
	Public bool

	// Goroutines is how many of them count, each Rounds times; with 0 rounds until
	// the parent calls Process.Finish.
	Goroutines int
	Rounds     int
	// Unlocked makes Count not lock at all: the fault that a witness must see.
	Unlocked bool
	// Faulty makes Count go on after a fault of the server or a lost hold, and
	// nobody watch: a server that forgets frees a lock under its holder.
	Faulty bool

	// Task is what a duty that another package brings along needs to know besides.
	Task json.RawMessage
}

// A Role is a duty that another package brings along.
type Role struct {
	Duty Duty
	// Play does the job with the client, which is not Play's to close. In is what the
	// parent tells; say tells the parent one line.
	Play func(job Job, client *rlock.Client, in *bufio.Reader, say func(format string, args ...any)) error
}

// CounterKey returns the key of the counter for a name.
func CounterKey(name string) string { return name + ":counter" }

// Main does the job of this process and exits if the process is a worker; else it
// returns. It is the first thing in the TestMain of tests that call Start. Besides the
// duties of this package it knows the roles.
func Main(roles ...Role) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	if err := work(text, roles); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0) // with 66 if the race detector found something
}

// A worker is a process that does a job.
type worker struct {
	Job
	rdb    rueidis.Client
	client *rlock.Client
	in     *bufio.Reader

	mu  sync.Mutex // protects out
	out io.Writer
}

func work(text string, roles []Role) (err error) {
	w := &worker{in: bufio.NewReader(os.Stdin), out: os.Stdout}
	if err := json.Unmarshal([]byte(text), &w.Job); err != nil {
		return fmt.Errorf("worker: the job in %s: %w", variable, err)
	}
	if w.Witness == "" {
		w.Witness = w.Server
	}
	before := goleak.IgnoreCurrent()
	if err := w.open(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, w.client.Close())
		w.rdb.Close()
		err = errors.Join(err, goleak.Find(before, goleak.IgnoreTopFunction("os/signal.loop")))
	}()
	switch w.Duty {
	case Obey:
		return w.obey()
	case Count:
		return w.count()
	}
	for _, role := range roles {
		if role.Duty == w.Duty {
			return role.Play(w.Job, w.client, w.in, w.say)
		}
	}
	return fmt.Errorf("worker: there is no duty %q", w.Duty)
}

func (w *worker) open() (err error) {
	w.rdb, err = rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{w.Server},
		ForceSingleClient: true,
		DisableCache:      true,
	})
	if err != nil {
		return err
	}
	var options []rlock.Option
	if w.WatchdogTimeout != 0 {
		options = append(options, rlock.WithWatchdogTimeout(w.WatchdogTimeout))
	}
	if w.GracePeriod != 0 {
		options = append(options, rlock.WithGracePeriod(w.GracePeriod))
	}
	if w.Public {
		options = append(options, rlock.WithHandover(false))
	}
	w.client, err = rlock.New(w.rdb, options...)
	return err
}

// say tells the parent one line.
func (w *worker) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = fmt.Fprintf(w.out, format+"\n", args...) // a parent that is gone hears nothing
}

// kind returns in few words what an operation of the library came to: a documented
// kind of result, or the whole text of an error that is of none.
func kind(err error) string {
	var lost *rlock.LostError
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &lost):
		return "lost: " + lost.Reason.String()
	case errors.Is(err, rlock.ErrNotAcquired):
		return "not acquired"
	case errors.Is(err, rlock.ErrClosed):
		return "client closed"
	case errors.Is(err, rlock.ErrUnavailable):
		return fault
	}
	return "error: " + err.Error()
}

// fault is the kind of an error of the server or of the way to it.
const fault = "fault"
