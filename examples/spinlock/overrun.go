package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// balance is the key of an account, to which two workers add one each.
const balance = "examples:spinlock:balance"

// overrun lets the first of two workers take twice as long as its lease, and tells
// what becomes of the account.
func (s stage) overrun(ctx context.Context, lease time.Duration) error {
	for _, c := range []struct {
		title string
		work  func(ctx context.Context, lease, slow time.Duration, holding func()) error
	}{
		{fmt.Sprintf("SETNX with an expiry of %v", lease), s.spinWork},
		{fmt.Sprintf("rlock with a lease of %v", lease), s.leasedWork},
		{"rlock without a lease", s.watchedWork},
	} {
		if err := s.clear(ctx); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s:\n", c.title)
		holding, first := make(chan struct{}), make(chan error, 1)
		go func() { first <- c.work(ctx, lease, 2*lease, func() { close(holding) }) }()
		select {
		case <-holding:
		case err := <-first:
			return err
		}
		began := time.Now()
		second := c.work(ctx, lease, 0, func() {
			fmt.Fprintf(s.out, "  second: has the lock after %v\n", time.Since(began).Round(10*time.Millisecond))
		})
		if err := errors.Join(<-first, second); err != nil {
			return err
		}
		n, err := s.rdb.Do(ctx, s.rdb.B().Get().Key(balance).Build()).AsInt64()
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "  both are done; the balance is %d\n", n)
	}
	return s.clear(ctx)
}

// deposit adds one to the account, in some time. It writes nothing once ctx has ended.
func (s stage) deposit(ctx context.Context, takes time.Duration) error {
	n, err := s.rdb.Do(ctx, s.rdb.B().Get().Key(balance).Build()).AsInt64()
	if err != nil && !rueidis.IsRedisNil(err) {
		return err
	}
	if err := rest(ctx, takes); err != nil {
		return err
	}
	return s.rdb.Do(ctx, s.rdb.B().Set().Key(balance).Value(fmt.Sprint(n+1)).Build()).Error()
}

// spinWork learns when it unlocks that somebody else was in. It is too late: it has
// overwritten what that one wrote.
func (s stage) spinWork(ctx context.Context, lease, takes time.Duration, holding func()) error {
	l := spin{rdb: s.rdb, lease: lease, pause: 10 * time.Millisecond}
	token, err := l.lock(ctx)
	if err != nil {
		return err
	}
	holding()
	if err := s.deposit(ctx, takes); err != nil {
		return errors.Join(err, l.unlock(context.WithoutCancel(ctx), token))
	}
	err = l.unlock(ctx, token)
	if errors.Is(err, errStolen) {
		fmt.Fprintln(s.out, "  first: has written; then, unlocking:", err)
		return nil
	}
	return err
}

// leasedWork is stopped before its lease ends, so that it has written nothing when the
// next one begins. What is left to do is to begin anew, this time for as long as it
// takes.
func (s stage) leasedWork(ctx context.Context, lease, takes time.Duration, holding func()) (err error) {
	client, closeAll, err := s.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	lock := client.NewLock(name)
	hold, err := lock.Lock(ctx, rlock.WithLease(lease))
	if err != nil {
		return err
	}
	holding()
	err = s.deposit(hold.Context(), takes)
	late := hold.Unlock(ctx)
	if !errors.Is(late, rlock.ErrLost) {
		return errors.Join(err, late)
	}
	fmt.Fprintln(s.out, "  first: stopped, nothing written:", err)
	fmt.Fprintln(s.out, "  first: unlocking:", late)
	fmt.Fprintln(s.out, "  first: begins anew")
	return lock.Do(ctx, func(ctx context.Context) error { return s.deposit(ctx, takes) })
}

// watchedWork cannot outlast its lease: the watchdog renews it.
func (s stage) watchedWork(ctx context.Context, lease, takes time.Duration, holding func()) (err error) {
	client, closeAll, err := s.open(rlock.WithWatchdogTimeout(lease))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	return client.NewLock(name).Do(ctx, func(ctx context.Context) error {
		holding()
		return s.deposit(ctx, takes)
	})
}
