package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// work is for how long each holder keeps the lock.
const work = 20 * time.Millisecond

// A waiter takes the lock and returns what gives it back.
type waiter func(ctx context.Context) (unlock func(context.Context) error, err error)

// A kind is one of the locks that are compared.
type kind struct {
	title  string
	waiter func(s stage) (waiter, func() error, error) // with connections of its own
}

var kinds = []kind{
	{"SETNX, again at once", spinner(0)},
	{"SETNX, again after 10 ms", spinner(10 * time.Millisecond)},
	{"SETNX, again after 100 ms", spinner(100 * time.Millisecond)},
	{"rlock", queuer},
}

func spinner(pause time.Duration) func(stage) (waiter, func() error, error) {
	return func(s stage) (waiter, func() error, error) {
		rdb, err := rueidis.NewClient(s.option)
		if err != nil {
			return nil, nil, err
		}
		l := spin{rdb: rdb, lease: 30 * time.Second, pause: pause}
		take := func(ctx context.Context) (func(context.Context) error, error) {
			token, err := l.lock(ctx)
			return func(ctx context.Context) error { return l.unlock(ctx, token) }, err
		}
		return take, func() error { rdb.Close(); return nil }, nil
	}
}

func queuer(s stage) (waiter, func() error, error) {
	own, err := s.open()
	if err != nil {
		return nil, nil, err
	}
	lock := own.client.NewLock(name)
	take := func(ctx context.Context) (func(context.Context) error, error) {
		hold, err := lock.Lock(ctx)
		if err != nil {
			return nil, err
		}
		return hold.Unlock, nil
	}
	return take, own.close, nil
}

// A load is what one number of waiters did to the server in a second, and what they had
// of it.
type load struct {
	waiters  int
	commands float64 // those in scripts included
	cpu      float64 // the server's processor time, in percent of a core
	served   float64 // how often the lock was had
	longest  float64 // for how many seconds somebody has waited, who may wait still
}

// load measures all kinds with 1 to most waiters, prints what it saw and draws it.
func (s stage) load(ctx context.Context, most int, window time.Duration, file string) error {
	if most < 1 || window <= 0 {
		return fmt.Errorf("%d waiters for %v: it takes one, and some time", most, window)
	}
	loads := make([][]load, len(kinds))
	fmt.Printf("%-28s %8s %12s %8s %10s %10s\n", "", "waiters", "commands/s", "CPU", "served/s", "longest")
	for i, k := range kinds {
		for n := 1; n <= most; n *= 2 {
			l, err := s.measure(ctx, k, n, window)
			if err != nil {
				return fmt.Errorf("%s, %d waiters: %w", k.title, n, err)
			}
			fmt.Printf("%-28s %8d %12.0f %6.1f %% %10.1f %8.2f s\n", k.title, n, l.commands, l.cpu, l.served, l.longest)
			loads[i] = append(loads[i], l)
		}
	}
	return draw(loads, file)
}

// measure lets one more than n want the lock, so that n wait while one works, and
// looks at the server for the time of the window.
func (s stage) measure(ctx context.Context, k kind, n int, window time.Duration) (l load, err error) {
	if err := s.clear(ctx); err != nil {
		return l, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		crew  sync.WaitGroup
		ends  = make(chan error, 2*(n+1))
		tally tally
	)
	for range n + 1 {
		take, closeAll, err := k.waiter(s)
		if err != nil {
			cancel()
			crew.Wait()
			return l, err
		}
		crew.Go(func() {
			ends <- tally.turns(ctx, take)
			ends <- closeAll()
		})
	}
	if err := rest(ctx, window/4); err != nil { // until all have asked
		return l, err
	}
	before, err := s.count(ctx)
	began, had := time.Now(), tally.served.Load()
	if err == nil {
		err = rest(ctx, window)
	}
	after, failed := s.count(ctx)
	seconds, had := time.Since(began).Seconds(), tally.served.Load()-had
	cancel()
	crew.Wait()
	close(ends)
	err = errors.Join(err, failed)
	for end := range ends {
		err = errors.Join(err, end)
	}
	return load{
		waiters:  n,
		commands: (after.commands - before.commands) / seconds,
		cpu:      100 * (after.cpu - before.cpu) / seconds,
		served:   float64(had) / seconds,
		longest:  tally.longest.Seconds(),
	}, err
}

// A tally is what the waiters have had.
type tally struct {
	served  atomic.Int64
	mu      sync.Mutex
	longest time.Duration // that somebody has waited
}

// turns takes the lock, works, and gives it back, until ctx ends.
func (t *tally) turns(ctx context.Context, take waiter) error {
	for ctx.Err() == nil {
		began := time.Now()
		unlock, err := take(ctx)
		t.waited(time.Since(began))
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return err
		}
		t.served.Add(1)
		_ = rest(ctx, work) // the lock is given back all the same
		if err := unlock(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (t *tally) waited(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.longest = max(t.longest, d)
}

// Counters are what a server has counted since its start.
type counters struct {
	commands, cpu float64
}

// count reads lines like "used_cpu_user:0.12" and "cmdstat_get:calls=3,usec=7".
func (s stage) count(ctx context.Context) (c counters, err error) {
	info, err := s.rdb.Do(ctx, s.rdb.B().Info().Section("all").Build()).ToString()
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(info) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		var to *float64
		switch {
		case field == "used_cpu_user", field == "used_cpu_sys":
			to = &c.cpu
		case strings.HasPrefix(field, "cmdstat_"):
			to = &c.commands
			value, _, _ = strings.Cut(strings.TrimPrefix(value, "calls="), ",")
		default:
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return c, fmt.Errorf("%s: %w", field, err)
		}
		*to += n
	}
	return c, nil
}
