package main

import (
	"fmt"
	"time"

	"github.com/go-rlock/rlock/bench"
)

// A row is one thing that is measured of all contestants that take part in it.
type row struct {
	name     string
	task     task
	workload bench.Workload
	context  bench.Context
	hold     time.Duration
	rounds   int
	window   time.Duration
}

// Names of rows that goals and plots are about.
const (
	idleName    = "1000 waiters for a lock that is kept"
	watchedName = "100 000 locks that are held and watched"
)

const (
	watchedLocks = 100_000
	// period is that of the watchdog: a third of the default lease.
	period = 10 * time.Second
)

// length is for how long everything is measured.
type length struct {
	rounds int
	window time.Duration
	idle   time.Duration
}

// rows returns the rows in order.
func rows(l length) []row {
	var all []row
	for _, w := range []bench.Workload{
		bench.Serial, bench.Names64,
		bench.Goroutines32, bench.Clients8, bench.Clients32, bench.Clients8x8, bench.Clients128,
		bench.HotNames,
	} {
		for _, kind := range w.Contexts {
			for _, hold := range w.Holds {
				if hold > 0 && !w.Contended() {
					continue
				}
				all = append(all, newRow(w, kind, hold, l))
			}
		}
	}
	return append(all,
		row{
			name: idleName, task: idle,
			workload: bench.Workload{Clients: 8, Goroutines: 125, Names: 1},
			rounds:   1, window: l.idle,
		},
		row{
			name: watchedName, task: keep,
			workload: bench.Workload{Clients: 1, Goroutines: 64, Names: watchedLocks},
			rounds:   1, window: max(l.idle, period).Truncate(period),
		})
}

// newRow returns a row of the kind in which as much as possible is locked. Where nobody
// waits, small differences matter, and therefore that all contestants take turns more
// often. Where many wait for one lock that is held for long, the window is long enough for
// each to have it some times, or the first and the last turns would be most of them.
func newRow(w bench.Workload, kind bench.Context, hold time.Duration, l length) row {
	const often, turns, most = 3, 20, 6
	r := row{
		name: nameOf(w, kind, hold), task: compete,
		workload: w, context: kind, hold: hold,
		rounds: l.rounds, window: l.window,
	}
	if !w.Contended() {
		r.rounds *= often
		r.window /= often
	}
	if w.Names == 1 {
		enough := turns * time.Duration(w.Clients*w.Goroutines) * hold
		r.window = max(r.window, min(enough, most*r.window))
	}
	return r
}

// nameOf returns the name of a row.
func nameOf(w bench.Workload, kind bench.Context, hold time.Duration) string {
	if len(w.Contexts) > 1 {
		return fmt.Sprintf("%s, %s", w.Name, kind)
	}
	return w.Name + ", " + holdName(hold)
}

// holdName returns what rows say about for how long the lock is held.
func holdName(hold time.Duration) string {
	if hold == 0 {
		return "no hold"
	}
	return fmt.Sprintf("hold %d ms", hold.Milliseconds())
}

// takesPart reports whether a contestant is measured in the row.
func (r row) takesPart(c contestant) bool {
	switch r.task {
	case idle:
		return c.waits
	case keep:
		return c.name == ours
	default:
		return c.in == nil || c.in(r.workload)
	}
}

// job returns what a contestant's worker has to do in one round.
func (r row) job(c contestant, addr string, first bool) job {
	warm := c.warm
	switch {
	case r.task == idle:
		warm = settle
	case first:
		warm = c.firstWarm
	}
	return job{
		Task: r.task, Contender: c.name, Addr: addr,
		Clients: r.workload.Clients, Goroutines: r.workload.Goroutines,
		Names: r.workload.Names, Hot: r.workload.Hot,
		Context:    r.context,
		HoldMS:     r.hold.Milliseconds(),
		WarmMS:     warm.Milliseconds(),
		WindowMS:   r.window.Milliseconds(),
		PatienceMS: patience.Milliseconds(),
	}
}
