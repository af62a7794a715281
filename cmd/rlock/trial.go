package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// concludeTimeout bounds what is asked of the server after the work.
const concludeTimeout = 2 * time.Second

// A trial is one run of the processes against a server.
type trial struct {
	options  options
	server   *server
	counter  string // its key
	crew     *crew
	tally    *tally
	progress progress

	signals   <-chan os.Signal
	interrupt os.Signal // the first one that came
	started   bool      // the processes were told to begin
	before    commandCounts
}

func newTrial(o options, s *server, signals <-chan os.Signal, stderr io.Writer) *trial {
	return &trial{
		options:  o,
		server:   s,
		counter:  newCounterKey(),
		tally:    newTally(o.processes),
		progress: newProgress(stderr, int64(o.processes)*int64(o.iterations)),
		signals:  signals,
	}
}

// prepare sets the counter to 0, and so finds out whether the server can be used.
func (t *trial) prepare(ctx context.Context) error {
	if err := writeCounter(ctx, t.server.rdb, t.counter, 0); err != nil {
		return fmt.Errorf("%s is of no use: %w", t.server.where, err)
	}
	return nil
}

// run starts the processes and sees them through until the last one has ended.
func (t *trial) run(ctx context.Context, stderr io.Writer) error {
	crew, err := startCrew(ctx, t.options.processes, t.options.job(t.server.url, t.counter), stderr)
	if err != nil {
		return err
	}
	t.crew = crew
	t.progress.say("processes %s: each asks %d times for the lock %s (%s) on %s",
		strings.Trim(fmt.Sprint(crew.pids()), "[]"), t.options.iterations, lockName, t.options.lock, t.server.where)

	ticker := time.NewTicker(t.progress.interval())
	defer ticker.Stop()
	for crew.left > 0 {
		select {
		case r := <-crew.reports:
			t.hear(r)
			if !t.started && t.interrupt == nil && t.tally.settled() {
				t.before = countCommands(ctx, t.server.rdb)
				t.started = true
				crew.start()
			}
		case s := <-t.signals:
			t.obey(s)
		case <-ticker.C:
			t.progress.update(t.tally.answered())
		}
	}
	t.progress.update(t.tally.answered())
	t.progress.end()
	return nil
}

// hear counts a report and says what the user should know of it.
func (t *trial) hear(r report) {
	t.tally.add(r)
	t.crew.see(r)
	if r.ended == nil {
		return
	}
	member := t.tally.members[r.from]
	name := fmt.Sprintf("process %d", t.crew.members[r.from].cmd.Process.Pid)
	switch {
	case member.fault != "":
		t.progress.say("%s stopped: %s", name, member.fault)
	case member.killed():
		t.progress.say("%s was killed", name)
	case member.unheard():
		t.progress.say("%s was killed before it began", name)
	case member.broken():
		t.progress.say("%s ended with status %d", name, member.code)
	case member.turns < int64(t.options.iterations) && t.interrupt == nil:
		t.progress.say("%s was told to stop after %d turns", name, member.turns)
	}
}

// obey stops the processes upon the first signal and kills them upon the second.
func (t *trial) obey(s os.Signal) {
	if t.interrupt != nil {
		t.crew.kill()
		return
	}
	t.interrupt = s
	t.progress.say("%v: every process finishes its turn; once more kills them", s)
	t.crew.stop()
}

// conclude asks the server how it ended and deletes the counter.
func (t *trial) conclude(ctx context.Context) *result {
	ctx, cancel := context.WithTimeout(ctx, concludeTimeout)
	defer cancel()
	r := &result{
		options:   t.options,
		tally:     t.tally,
		interrupt: t.interrupt,
		untold:    t.started && t.before == nil,
	}
	if commands, ok := countCommands(ctx, t.server.rdb).since(t.before); ok {
		commands -= t.tally.acquired + t.tally.written // the GETs and SETs of the turns
		r.commands = &commands
	}
	if r.counter, r.counterErr = readCounter(ctx, t.server.rdb, t.counter); r.counterErr == nil {
		_ = deleteCounter(ctx, t.server.rdb, t.counter) // it would end by itself
	}
	return r
}
