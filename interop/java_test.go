//go:build interop

package interop_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/go-rlock/rlock/rlock"
)

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
