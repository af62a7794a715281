package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/go-rlock/rlock/bench"
	"github.com/go-rlock/rlock/internal/redistest"
)

// A contest is one server and those who are measured on it.
type contest struct {
	server      *redistest.Server
	contestants []contestant
	log         *log.Logger
}

// run measures a row: in each round all contestants, one after the other, so that what
// else the machine does meets all of them. Each round begins with another one.
func (c contest) run(ctx context.Context, r row) ([]*figures, error) {
	var all []*figures
	var takers []contestant
	for _, contestant := range c.contestants {
		if r.takesPart(contestant) {
			takers = append(takers, contestant)
			all = append(all, newFigures(r, contestant.name))
		}
	}
	began := time.Now()
	for n := range r.rounds {
		for i := range takers {
			j := (i + n) % len(takers)
			f := all[j]
			round, err := c.measure(ctx, r, takers[j], n == 0)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				f.Failed = err.Error()
				c.log.Printf("%s: %s: %v", r.name, f.Contestant, err)
				continue
			}
			f.add(round)
		}
	}
	for _, f := range all {
		f.sum()
	}
	c.log.Printf("%s: %.0f s", r.name, time.Since(began).Seconds())
	return all, nil
}

// A round is what was measured of a contestant in one window.
type round struct {
	answer   answer
	counters bench.Counters
	took     time.Duration // the window, and until the last one was served
}

// measure measures one contestant once.
func (c contest) measure(ctx context.Context, r row, who contestant, first bool) (result round, err error) {
	if _, err := c.server.Call(ctx, "FLUSHALL"); err != nil {
		return round{}, err
	}
	j := r.job(who, c.server.Addr(), first)
	const overhead = 30 * time.Second // for opening and closing, and for the locks that are kept
	ctx, cancel := context.WithTimeoutCause(ctx, j.warm()+j.window()+2*j.patience()+overhead,
		fmt.Errorf("it had not ended %v after it should have", overhead))
	defer cancel()
	worker, err := who.host.worker(context.WithoutCancel(ctx))
	if err != nil {
		return round{}, err
	}
	defer func() { who.host.release(ctx, err != nil) }()
	if err := worker.get(ctx, j); err != nil {
		return round{}, err
	}
	before, err := bench.Count(ctx, c.server)
	if err != nil {
		return round{}, err
	}
	began := time.Now()
	done, err := worker.run(ctx)
	took := time.Since(began)
	if err != nil {
		return round{}, err
	}
	after, err := bench.Count(ctx, c.server)
	return round{answer: done, counters: after.Sub(before), took: took}, err
}
