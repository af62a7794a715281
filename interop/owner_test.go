//go:build interop

package interop_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// An owner locks and unlocks, on one side or the other. The errors of both sides are
// those of package rlock where it has a counterpart.
type owner interface {
	lock(name string) error
	lockWithLease(name string, lease time.Duration) error
	tryLock(name string) (bool, error)
	tryLockWithin(name string, wait time.Duration) (bool, error)
	tryLockWithLease(name string, wait, lease time.Duration) (bool, error)
	unlock(name string) error
	forceUnlock(name string) (bool, error)
	isLocked(name string) (bool, error)
	isHeld(name string) (bool, error)
	holdCount(name string) (int, error)
	ttl(name string) (time.Duration, error) // 0 if the lock is free
	field(name string) string               // of the hash, when this owner has the lock
}

// A goOwner is an owner of this library.
type goOwner struct {
	ctx    context.Context //nolint:containedctx // it names the owner
	client *rlock.Client
	owner  rlock.Owner
}

// newGoOwner returns an owner with a client of its own, which is closed when the test
// is over.
func newGoOwner(t *testing.T, options ...rlock.Option) goOwner {
	t.Helper()
	client, err := rlock.New(server.Client(t), options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return anotherGoOwner(t, client)
}

func anotherGoOwner(t *testing.T, client *rlock.Client) goOwner {
	o := rlock.NewOwner()
	return goOwner{ctx: rlock.WithOwner(t.Context(), o), client: client, owner: o}
}

func (o goOwner) at(name string) *rlock.Lock { return o.client.NewLock(name) }

func (o goOwner) lock(name string) error {
	_, err := o.at(name).Lock(o.ctx)
	return err
}

func (o goOwner) lockWithLease(name string, lease time.Duration) error {
	_, err := o.at(name).Lock(o.ctx, rlock.WithLease(lease))
	return err
}

func (o goOwner) tryLock(name string) (bool, error) {
	return acquired(o.at(name).TryLock(o.ctx, 0))
}

func (o goOwner) tryLockWithin(name string, wait time.Duration) (bool, error) {
	return acquired(o.at(name).TryLock(o.ctx, wait))
}

func (o goOwner) tryLockWithLease(name string, wait, lease time.Duration) (bool, error) {
	return acquired(o.at(name).TryLock(o.ctx, wait, rlock.WithLease(lease)))
}

func (o goOwner) unlock(name string) error               { return o.at(name).Unlock(o.ctx) }
func (o goOwner) forceUnlock(name string) (bool, error)  { return o.at(name).ForceUnlock(o.ctx) }
func (o goOwner) isLocked(name string) (bool, error)     { return o.at(name).IsLocked(o.ctx) }
func (o goOwner) isHeld(name string) (bool, error)       { return o.at(name).IsHeld(o.ctx) }
func (o goOwner) holdCount(name string) (int, error)     { return o.at(name).HoldCount(o.ctx) }
func (o goOwner) ttl(name string) (time.Duration, error) { return o.at(name).TTL(o.ctx) }
func (o goOwner) field(string) string                    { return o.client.ID() + ":" + o.owner.String() }

// acquired makes of TryLock's results what Java's tryLock returns.
func acquired(_ *rlock.Hold, err error) (bool, error) {
	if errors.Is(err, rlock.ErrNotAcquired) {
		return false, nil
	}
	return err == nil, err
}

// A javaOwner is a thread of a Redisson client, and one kind of lock.
type javaOwner struct {
	client *javaClient
	thread string
	kind   string
}

// newJavaOwner returns a thread of a client of its own in the JVM that all tests share.
func newJavaOwner(t *testing.T, watchdog time.Duration) javaOwner {
	t.Helper()
	return shared.connect(t, server.Addr(), watchdog).owner("1")
}

func (c *javaClient) owner(thread string) javaOwner {
	return javaOwner{client: c, thread: thread, kind: "plain"}
}

// of returns the same thread with another kind of lock.
func (o javaOwner) of(kind string) javaOwner {
	o.kind = kind
	return o
}

func (o javaOwner) lock(name string) error { return o.do("lock", name) }

func (o javaOwner) lockWithLease(name string, lease time.Duration) error {
	return o.do("lockWithLease", name, millis(lease))
}

func (o javaOwner) tryLock(name string) (bool, error) { return o.is("tryLock", name) }

func (o javaOwner) tryLockWithin(name string, wait time.Duration) (bool, error) {
	return o.is("tryLockWithin", name, millis(wait))
}

func (o javaOwner) tryLockWithLease(name string, wait, lease time.Duration) (bool, error) {
	return o.is("tryLockWithLease", name, millis(wait), millis(lease))
}

func (o javaOwner) unlock(name string) error              { return o.do("unlock", name) }
func (o javaOwner) forceUnlock(name string) (bool, error) { return o.is("forceUnlock", name) }
func (o javaOwner) isLocked(name string) (bool, error)    { return o.is("isLocked", name) }
func (o javaOwner) isHeld(name string) (bool, error)      { return o.is("isHeld", name) }

func (o javaOwner) holdCount(name string) (int, error) {
	a := o.ask("holdCount", o.kind, name)
	if a.err != nil {
		return 0, a.err
	}
	return strconv.Atoi(a.value)
}

func (o javaOwner) ttl(name string) (time.Duration, error) {
	a := o.ask("ttl", o.kind, name)
	if a.err != nil {
		return 0, a.err
	}
	ms, err := strconv.ParseInt(a.value, 10, 64)
	if ms == -2 {
		ms = 0
	}
	return time.Duration(ms) * time.Millisecond, err
}

func (o javaOwner) field(string) string {
	return o.client.id + ":" + o.ask("id").value
}

// do carries out a verb that answers nothing.
func (o javaOwner) do(verb, name string, words ...string) error {
	return o.ask(verb, append([]string{o.kind, name}, words...)...).err
}

// is carries out a verb that answers true or false.
func (o javaOwner) is(verb, name string, words ...string) (bool, error) {
	a := o.ask(verb, append([]string{o.kind, name}, words...)...)
	if a.err != nil {
		return false, a.err
	}
	return strconv.ParseBool(a.value)
}

// ask carries out a verb in the owner's thread and waits for the answer.
func (o javaOwner) ask(verb string, words ...string) answer {
	var a answer
	select {
	case a = <-o.tell(verb, words...):
	case <-time.After(2 * limit): // longer than any test lets it wait for a lock
		return answer{err: fmt.Errorf("the JVM does not answer to %s %q", verb, words)}
	}
	var exception *javaError
	if errors.As(a.err, &exception) && exception.class == "IllegalMonitorStateException" {
		a.err = fmt.Errorf("%w: %w", rlock.ErrNotHeld, exception)
	}
	return a
}

func (o javaOwner) tell(verb string, words ...string) <-chan answer {
	return o.client.jvm.tell(append([]string{o.client.name, o.thread, verb}, words...)...)
}
