package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// redisVariable is the environment variable that stands in for --redis.
const redisVariable = "RLOCK_REDIS"

// longest is the longest duration that a flag takes.
const longest = time.Hour

// options are what the flags of "rlock demo" say.
type options struct {
	processes  int
	iterations int
	wait       time.Duration
	lease      time.Duration
	hold       time.Duration
	redis      string
	lock       string
	json       bool
}

func newDemoCommand() *cobra.Command {
	o := options{processes: 2, iterations: 10000, wait: time.Second, lease: time.Second, lock: lockKinds[0]}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Let several processes count together under one lock",
		Long: `demo starts several processes. Each of them, --iterations times, takes the lock
"` + lockName + `" with TryLock, reads a counter with GET, writes it back one higher with
SET, and unlocks. Two processes that do this at the same time would overwrite each
other's work, so the counter ends at the number of locks acquired only if nobody ever
held the lock beside somebody else.

It needs no Redis: without --redis it runs a server inside its own process, for as
long as it lasts. On a real server it uses a counter key of its own, so that several
demonstrations can run side by side, and deletes it at the end.

Ctrl-C stops it: every process finishes the turn it is in and unlocks, and the table
of what was done is printed. A second Ctrl-C kills the processes. Killing one of the
processes yourself (their numbers are shown at the start) is worth trying: the others
go on when its lease is over.

What the table says:
  asked           turns in which a process asked for the lock and got an answer
  acquired        those in which it got the lock
  skipped         those in which it did not get it within --wait
  counter         what the counter was at the end
  lost updates    acquired minus counter; 0 is right
  operations/s    locks acquired per second, all processes together, start-up aside
  waiting time    from the call to the lock, of the turns that got it
  Redis commands per acquisition
                  how much INFO commandstats grew, which counts the commands that
                  scripts run as well as the scripts themselves, without the
                  demonstration's own GET and SET and without AUTH, CLIENT, COMMAND,
                  HELLO, INFO, PING, QUIT and SELECT. It counts the whole server: let
                  nobody else use it meanwhile. The built-in server does not tell.

The kinds of lock:
  rlock   this project's lock
  spin    SET NX with a token, tried again at once until it works, and a script that
          compares and deletes: what users of a plain Redis client write
  none    no lock, which shows what it is good for

--json prints one object instead of the table, with the keys asked, acquired, skipped,
counter, lost, ops_per_second, wait_p50_ms, wait_p99_ms, wait_max_ms and
commands_per_acquisition; what is not known is null.

Exit status:
  0    the counter is what was acquired, or differs by no more than the processes that
       somebody killed explain: one each, if it died between lock and write
  1    it is not (with --lock none that is the point), or a fault stopped a process
  2    nothing was run: a bad command line, or no server at the address
  130  interrupted, and the counter is what was acquired (143 after SIGTERM)`,
		Example: `  rlock demo                                       the counter ends at 20000
  rlock demo --processes 3                         the counter ends at 30000
  rlock demo --processes 8 --wait 100ms --hold 3ms --iterations 500
                                                   some turns are skipped, none is lost
  rlock demo --lock none                           without a lock, updates are lost
  rlock demo --redis redis://127.0.0.1:6379        on a real server
  rlock demo --redis redis://127.0.0.1:6379 --hold 3ms --iterations 500 --lock spin
                                                   what spinning costs the server`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf(`%q is unexpected: "rlock demo" takes only flags, which "rlock demo --help" lists`, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("redis") {
				o.redis = os.Getenv(redisVariable)
			}
			return runDemo(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}

	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(countValue{&o.processes, 1, 256}, "processes", "how many processes")
	flags.Var(countValue{&o.iterations, 1, math.MaxInt32}, "iterations", "how often each of them asks for the lock")
	flags.Var(durationValue{&o.wait, 0, longest}, "wait", "how long to wait for the lock each time")
	flags.Var(durationValue{&o.lease, time.Millisecond, longest}, "lease", "how long the lock is ours unless we unlock it")
	flags.Var(durationValue{&o.hold, 0, longest}, "hold", "how long to hold the lock, between GET and SET")
	flags.StringVar(&o.redis, "redis", "", "`URL` of a Redis or Valkey server; by default what the environment\nvariable "+redisVariable+" says, else a server inside this process")
	flags.Var(choiceValue{&o.lock, lockKinds}, "lock", "the kind of lock")
	flags.BoolVar(&o.json, "json", false, "print one JSON object instead of the table")
	return cmd
}

// job returns what each of the processes is to do.
func (o options) job(url, counter string) job {
	return job{
		URL:        url,
		Lock:       o.lock,
		Counter:    counter,
		Iterations: o.iterations,
		Wait:       o.wait,
		Lease:      o.lease,
		Hold:       o.hold,
	}
}

// runDemo runs the demonstration and prints what came of it. Every error that it
// returns is a *statusError.
func runDemo(ctx context.Context, o options, stdout, stderr io.Writer) error {
	// From here on a signal ends the processes first, and this one after them.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	s, err := openServer(o.redis) //nolint:contextcheck // a server in this process does not end with a context
	if err != nil {
		return &statusError{status: statusUsage, err: err}
	}
	defer func() { _ = s.close() }() // nobody is left to whom it could matter

	t := newTrial(o, s, signals, stderr)
	if err := t.prepare(ctx); err != nil {
		return &statusError{status: statusUsage, err: err}
	}
	err = t.run(ctx, stderr)
	r := t.conclude(ctx)
	if err != nil {
		return &statusError{status: statusWrong, err: err}
	}

	show := r.printTable
	if o.json {
		show = r.printJSON
	}
	if err := show(stdout); err != nil {
		return &statusError{status: statusWrong, err: fmt.Errorf("print the result: %w", err)}
	}
	if status := r.status(); status != 0 {
		return &statusError{status: status}
	}
	return nil
}
