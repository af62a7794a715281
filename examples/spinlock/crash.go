package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/go-rlock/rlock/rlock"
)

// crash lets a process take each kind of lock and die with it, and tells how long the
// next one waits.
func (s stage) crash(ctx context.Context, lease time.Duration) error {
	for _, c := range []struct{ kind, title string }{
		{"forever", "SETNX without an expiry"},
		{"spin", fmt.Sprintf("SETNX with an expiry of %v", lease)},
		{"rlock", fmt.Sprintf("rlock with a watchdog timeout of %v", lease)},
	} {
		if err := s.clear(ctx); err != nil {
			return err
		}
		if err := s.kill(ctx, c.kind, lease); err != nil {
			return err
		}
		began := time.Now()
		patience, cancel := context.WithTimeout(ctx, 2*lease)
		unlock, err := s.take(patience, c.kind, lease)
		cancel()
		waited := time.Since(began).Round(10 * time.Millisecond)
		switch {
		case err == nil:
			fmt.Printf("%s: the next one has it after %v\n", c.title, waited)
			err = unlock()
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			fmt.Printf("%s: still taken after %v\n", c.title, waited)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return s.clear(ctx)
}

// kill starts a process that takes a lock, and kills it when it has it.
func (s stage) kill(ctx context.Context, kind string, lease time.Duration) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	holder := exec.CommandContext(ctx, program, "-redis", s.address, "-lease", lease.String(), "die", kind)
	holder.Stderr = os.Stderr
	stdout, err := holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return err
	}
	var word string
	_, err = fmt.Fscan(stdout, &word) // it has the lock
	killed := holder.Process.Kill()
	_ = holder.Wait() // it was killed
	return errors.Join(err, killed)
}

// die takes a lock, says so, and keeps it until the process is killed.
func (s stage) die(ctx context.Context, kind string, lease time.Duration) error {
	if _, err := s.take(ctx, kind, lease); err != nil {
		return err
	}
	fmt.Println("locked")
	<-ctx.Done()
	return ctx.Err()
}

// take takes a lock of a kind and returns what gives it back.
func (s stage) take(ctx context.Context, kind string, lease time.Duration) (unlock func() error, err error) {
	if kind == "rlock" {
		own, err := s.open(rlock.WithWatchdogTimeout(lease))
		if err != nil {
			return nil, err
		}
		if _, err := own.client.NewLock(name).Lock(ctx); err != nil {
			return nil, errors.Join(err, own.close())
		}
		return own.close, nil
	}
	l := spin{rdb: s.rdb, lease: lease, pause: 10 * time.Millisecond}
	if kind == "forever" {
		l.lease = 0
	}
	token, err := l.lock(ctx)
	if err != nil {
		return nil, err
	}
	return func() error { return l.unlock(context.WithoutCancel(ctx), token) }, nil
}
