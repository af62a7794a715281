package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// Two workers move one coin each from a chest to a purse. Together there are as many as
// before, unless a worker writes what it can no longer know.
const (
	chest = "examples:spinlock:chest"
	purse = "examples:spinlock:purse"
	coins = 10
)

// A worker moves a coin under a lock, slowly, and calls holding when it has the lock.
type worker func(ctx context.Context, lease, slow time.Duration, holding func()) error

// overrun lets the first of two workers take twice as long as its lease, and tells
// what becomes of the coins.
func (s stage) overrun(ctx context.Context, lease time.Duration) error {
	for _, c := range []struct {
		title string
		work  worker
	}{
		{fmt.Sprintf("SETNX with an expiry of %v", lease), s.spinWork},
		{fmt.Sprintf("rlock with a lease of %v, and nobody looks at the hold", lease), s.lateWork},
		{fmt.Sprintf("rlock with a lease of %v, and the work ends with the hold", lease), s.stoppedWork},
		{"rlock without a lease", s.watchedWork},
	} {
		fmt.Printf("%s:\n", c.title)
		if err := s.compete(ctx, c.work, lease); err != nil {
			return err
		}
	}
	return s.clear(ctx)
}

// compete lets two workers work, of which the second one wants the lock when the first
// one has it.
func (s stage) compete(ctx context.Context, work worker, lease time.Duration) error {
	if err := s.clear(ctx); err != nil {
		return err
	}
	if err := s.set(ctx, chest, coins); err != nil {
		return err
	}
	holding, first := make(chan struct{}), make(chan error, 1)
	go func() { first <- work(ctx, lease, 2*lease, func() { close(holding) }) }()
	select {
	case <-holding:
	case err := <-first:
		return err
	}
	began := time.Now()
	second := work(ctx, lease, 0, func() {
		fmt.Printf("  second: has the lock after %v\n", time.Since(began).Round(10*time.Millisecond))
	})
	if err := errors.Join(<-first, second); err != nil {
		return err
	}
	left, moved, err := s.look(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  in the end: %d + %d coins\n", left, moved)
	return nil
}

// move moves a coin in some time. If ctx ends meanwhile, it stops: it does not write
// what it would, and puts back what it has taken. A write that has begun is not broken
// off, because nobody could tell whether it was done.
func (s stage) move(ctx context.Context, takes time.Duration) error {
	_, moved, err := s.look(ctx)
	if err != nil {
		return err
	}
	writing := context.WithoutCancel(ctx)
	if err := s.rdb.Do(writing, s.rdb.B().Decr().Key(chest).Build()).Error(); err != nil {
		return err
	}
	if err := rest(ctx, takes); err != nil {
		return errors.Join(err, s.rdb.Do(writing, s.rdb.B().Incr().Key(chest).Build()).Error())
	}
	return s.set(writing, purse, moved+1)
}

// repair puts into the purse what is missing. It is for whoever has the lock.
func (s stage) repair(ctx context.Context) error {
	left, moved, err := s.look(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("  first: repairs: there were %d + %d coins\n", left, moved)
	return s.set(ctx, purse, coins-left)
}

// spinWork learns when it unlocks that somebody else was in. It is too late: it has
// overwritten what that one wrote.
func (s stage) spinWork(ctx context.Context, lease, slow time.Duration, holding func()) error {
	l := spin{rdb: s.rdb, lease: lease, pause: 10 * time.Millisecond}
	token, err := l.lock(ctx)
	if err != nil {
		return err
	}
	holding()
	worked := s.move(ctx, slow)
	err = errors.Join(worked, l.unlock(context.WithoutCancel(ctx), token))
	if worked != nil || !errors.Is(err, errStolen) {
		return err
	}
	fmt.Println("  first: has written, and learns from unlock:", err)
	if token, err = l.lock(ctx); err != nil {
		return err
	}
	err = s.repair(ctx)
	return errors.Join(err, l.unlock(context.WithoutCancel(ctx), token))
}

// lateWork does not look at its hold either, and learns as much. All that it can do
// then is to repair what it may have spoilt.
func (s stage) lateWork(ctx context.Context, lease, slow time.Duration, holding func()) (err error) {
	own, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.close()) }()
	lock := own.client.NewLock(name)
	hold, err := lock.Lock(ctx, rlock.WithLease(lease))
	if err != nil {
		return err
	}
	holding()
	worked := s.move(ctx, slow)
	err = lock.Unlock(ctx) // or hold.Unlock: one of them is enough
	if worked != nil || !errors.Is(err, rlock.ErrNotHeld) {
		return errors.Join(worked, err)
	}
	fmt.Println("  first: has written, and learns from lock.Unlock:", verdict(err))
	fmt.Println("  first: or from hold.Unlock:", verdict(hold.Unlock(ctx)))
	return lock.Do(ctx, s.repair)
}

// stoppedWork is stopped before its lease ends, so that it has written nothing when the
// next one begins. What is left to do is to begin anew, this time for as long as it
// takes.
func (s stage) stoppedWork(ctx context.Context, lease, slow time.Duration, holding func()) (err error) {
	own, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.close()) }()
	lock := own.client.NewLock(name)
	hold, err := lock.Lock(ctx, rlock.WithLease(lease))
	if err != nil {
		return err
	}
	holding()
	worked := s.move(hold.Context(), slow) //nolint:contextcheck // which ends with the hold
	err = hold.Unlock(ctx)
	if !errors.Is(err, rlock.ErrLost) {
		return errors.Join(worked, err)
	}
	fmt.Println("  first: is stopped:", worked)
	fmt.Println("  first: learns from hold.Unlock:", verdict(err))
	fmt.Println("  first: begins anew")
	return lock.Do(ctx, func(ctx context.Context) error { return s.move(ctx, slow) })
}

// watchedWork cannot outlast its lease: the watchdog renews it.
func (s stage) watchedWork(ctx context.Context, lease, slow time.Duration, holding func()) (err error) {
	own, err := s.open(rlock.WithWatchdogTimeout(lease))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.close()) }()
	return own.client.NewLock(name).Do(ctx, func(ctx context.Context) error {
		holding()
		return s.move(ctx, slow)
	})
}

// verdict says what an error of Unlock tells a program.
func verdict(err error) string {
	reason := "none"
	var lost *rlock.LostError
	if errors.As(err, &lost) {
		reason = lost.Reason.String()
	}
	return fmt.Sprintf("%v\n    ErrNotHeld: %t, ErrLost: %t, reason: %s",
		err, errors.Is(err, rlock.ErrNotHeld), errors.Is(err, rlock.ErrLost), reason)
}

// look returns how many coins are where.
func (s stage) look(ctx context.Context) (left, moved int64, err error) {
	both, err := s.rdb.Do(ctx, s.rdb.B().Mget().Key(chest, purse).Build()).ToArray()
	if err != nil {
		return 0, 0, err
	}
	for i, n := range []*int64{&left, &moved} {
		if *n, err = both[i].AsInt64(); err != nil && !rueidis.IsRedisNil(err) {
			return 0, 0, err
		}
	}
	return left, moved, nil
}

func (s stage) set(ctx context.Context, key string, n int64) error {
	return s.rdb.Do(ctx, s.rdb.B().Set().Key(key).Value(fmt.Sprint(n)).Build()).Error()
}
