package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/redis/rueidis"
	"github.com/spf13/cobra"
)

// A job is what a worker process is to do.
type job struct {
	URL        string        `json:"url"`
	Lock       string        `json:"lock"`
	Counter    string        `json:"counter"`
	Iterations int           `json:"iterations"`
	Wait       time.Duration `json:"wait"`
	Lease      time.Duration `json:"lease"`
	Hold       time.Duration `json:"hold"`
}

// workerCommand is the command that a worker process is started with.
const workerCommand = "demo-worker"

func newWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    workerCommand,
		Short:  `One of the processes of "rlock demo"`,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

// serve does the job that it reads from in and tells out about it. It returns when
// in has ended, and it stops early if in ends before that or if a signal says so.
func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	// With the parent gone, a write must not end this process inside its turn.
	signal.Ignore(syscall.SIGPIPE)
	// Signals are caught to the end: what comes after the first one does not kill.
	ctx, restore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restore()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	lines := bufio.NewReader(in)
	var j job
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &j)
	}
	if err != nil {
		return fmt.Errorf("%s reads its job from standard input, where %q starts it: %w", workerCommand, "rlock demo", err)
	}

	start := make(chan struct{}) // closed upon "go"
	var listening sync.WaitGroup
	listening.Go(func() {
		defer cancel()
		if line, err := lines.ReadString('\n'); err != nil || line != wordGo+"\n" {
			return
		}
		close(start)
		_, _ = io.Copy(io.Discard, lines)
	})
	defer listening.Wait() // the parent closes in when it has heard the last word

	w := &worker{job: j, teller: teller{out: out}}
	w.work(ctx, start)
	if w.err != nil { // nobody listens any more
		return &statusError{status: statusWrong}
	}
	return nil
}

// A worker does a job.
type worker struct {
	job
	teller
	rdb    rueidis.Client
	locker locker
}

// work does the whole job and tells how it ended.
func (w *worker) work(ctx context.Context, start <-chan struct{}) {
	if err := w.open(ctx); err != nil {
		w.tell(message{kind: fault, text: err.Error()})
		return
	}
	defer w.rdb.Close()

	w.tell(message{kind: isReady})
	select {
	case <-start:
	case <-ctx.Done():
	}
	began := time.Now()
	sound := true
	for turn := 0; turn < w.Iterations && sound && ctx.Err() == nil && w.err == nil; turn++ {
		sound = w.turn(ctx)
	}
	took := time.Since(began)

	err := w.locker.close()
	switch {
	case !sound: // told
	case err != nil:
		w.tell(message{kind: fault, text: err.Error()})
	default:
		w.tell(message{kind: done, time: took})
	}
}

// open connects to the server. Reading the counter makes sure that the first turn
// does not pay for that.
func (w *worker) open(ctx context.Context) error {
	rdb, err := connect(w.URL)
	if err != nil {
		return err
	}
	w.rdb = rdb
	if _, err = w.read(context.WithoutCancel(ctx)); err == nil {
		w.locker, err = newLocker(w.Lock, rdb, w.Wait, w.Lease)
	}
	if err != nil {
		rdb.Close()
	}
	return err
}

// turn asks for the lock once and, if it gets it, adds one to the counter. When ctx
// is done it waits no longer, and the turn does not count. It returns false after a
// fault, which it has told.
func (w *worker) turn(ctx context.Context) bool {
	asked := time.Now()
	held, err := w.locker.acquire(ctx)
	waited := time.Since(asked)
	switch {
	case errors.Is(err, errSkipped):
		w.tell(message{kind: skipped, time: waited})
		return true
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return true
	case err != nil:
		w.tell(message{kind: failed, text: err.Error()})
		return false
	}

	w.tell(message{kind: acquired, time: waited})
	adding := w.increment(ctx, held)
	releasing := held.release(context.WithoutCancel(ctx))
	for _, err := range []error{adding, releasing} {
		if err != nil && !errors.Is(err, errLost) {
			w.tell(message{kind: fault, text: err.Error()})
			return false
		}
	}
	if adding != nil || releasing != nil {
		w.tell(message{kind: lost})
	}
	return true
}

// increment adds one to the counter while the lock is held: a GET, the time to hold,
// a SET. It writes nothing and returns errLost if the lock is known to be lost by
// then. When ctx is done it holds no longer, but it still writes.
func (w *worker) increment(ctx context.Context, held holding) error {
	whole := context.WithoutCancel(ctx)
	n, err := w.read(whole)
	if err != nil {
		return err
	}
	if w.Hold > 0 {
		timer := time.NewTimer(w.Hold)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-held.gone():
		case <-ctx.Done():
		}
	}
	if err := held.err(); err != nil {
		return err
	}
	if err := writeCounter(whole, w.rdb, w.Counter, n+1); err != nil {
		return err
	}
	w.tell(message{kind: written})
	return nil
}

func (w *worker) read(ctx context.Context) (int64, error) {
	return readCounter(ctx, w.rdb, w.Counter)
}
