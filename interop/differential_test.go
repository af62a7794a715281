//go:build interop

package interop_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-rlock/rlock/rlock"
)

const (
	// longWatchdog is that of the differential test: no renewal falls into it.
	longWatchdog = time.Hour
	// tolerance is by how much a time to live may be off. The leases differ by more.
	tolerance = 9 * time.Minute
)

// TestBothSidesDoTheSame lets two owners do the same random things on both sides, and
// compares the results, the hash and its time to live after each of them.
func TestBothSidesDoTheSame(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			one, other := shared.connect(t, server.Addr(), longWatchdog), shared.connect(t, server.Addr(), longWatchdog)
			options = append([]rlock.Option{rlock.WithWatchdogTimeout(longWatchdog)}, options...)
			first, third := newGoOwner(t, options...), newGoOwner(t, options...)
			second := anotherGoOwner(t, first.client)
			pairs := map[string][2]troupe{
				"of one client":  {{one.owner("1"), one.owner("2")}, {first, second}},
				"of two clients": {{one.owner("1"), other.owner("1")}, {first, third}},
			}
			seen := map[difference]int{}
			rapid.Check(t, func(rt *rapid.T) {
				pair := pairs[rapid.SampledFrom([]string{"of one client", "of two clients"}).Draw(rt, "owners")]
				d := &duel{t: t, java: pair[0], ours: pair[1], javaName: fresh(t), ourName: fresh(t), expected: newLedger(), seen: seen}
				defer d.tidy()
				rt.Repeat(map[string]func(*rapid.T){
					"":            d.compare,
					"tryLock":     d.tryLock,
					"lock":        d.lock,
					"unlock":      d.unlock,
					"forceUnlock": d.forceUnlock,
					"look":        d.look,
					"evict":       d.evict,
				})
			})
			for d, why := range differences {
				t.Logf("%s (%d times): %s", d, seen[d], why)
				assert.Positive(t, seen[d], "nothing random has led to it: %s", d)
			}
		})
	}
}

// A troupe are the two owners on one side.
type troupe [2]owner

// A duel is one sequence of steps, done on both sides, each with a lock of its own.
type duel struct {
	t        *testing.T
	java     troupe
	ours     troupe
	javaName string
	ourName  string
	expected *ledger
	seen     map[difference]int
}

// who draws one of the two owners, more often the one that has the lock.
func (d *duel) who(rt *rapid.T) int {
	likely := max(d.expected.holder, 0)
	return rapid.SampledFrom([]int{0, 1, likely, likely}).Draw(rt, "owner")
}

// leased draws a lease, 0 for that of the watchdog.
func leased(rt *rapid.T) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 20 * time.Minute, 40 * time.Minute, 90 * time.Minute}).Draw(rt, "lease")
}

// same requires that a call comes to the same on both sides, and to what is expected.
func (d *duel) same(rt *rapid.T, owner int, want string, call func(o owner, name string) string) {
	rt.Helper()
	require.Equal(rt, want, call(d.java[owner], d.javaName), "Redisson")
	require.Equal(rt, want, call(d.ours[owner], d.ourName), "this library")
}

func (d *duel) tryLock(rt *rapid.T) {
	who, lease := d.who(rt), leased(rt)
	d.same(rt, who, decision(d.expected.acquire(who, lease), nil), func(o owner, name string) string {
		if lease == 0 {
			return decision(o.tryLock(name))
		}
		return decision(o.tryLockWithLease(name, 0, lease))
	})
}

func (d *duel) lock(rt *rapid.T) {
	who, lease := d.who(rt), leased(rt)
	if !d.expected.acquire(who, lease) {
		rt.Skip("it would wait")
	}
	d.same(rt, who, outcome(nil), func(o owner, name string) string {
		if lease == 0 {
			return outcome(o.lock(name))
		}
		return outcome(o.lockWithLease(name, lease))
	})
}

func (d *duel) unlock(rt *rapid.T) {
	who, want := d.who(rt), outcome(nil)
	if !d.expected.unlock(who) {
		want = outcome(rlock.ErrNotHeld)
	}
	d.same(rt, who, want, func(o owner, name string) string { return outcome(o.unlock(name)) })
}

func (d *duel) forceUnlock(rt *rapid.T) {
	who := d.who(rt)
	want := decision(d.expected.force(who), nil)
	d.same(rt, who, want, func(o owner, name string) string { return decision(o.forceUnlock(name)) })
}

// look asks all that there is to ask.
func (d *duel) look(rt *rapid.T) {
	who, holds := d.who(rt), 0
	if d.expected.holder == who {
		holds = len(d.expected.holds)
	}
	want := fmt.Sprint(decision(d.expected.holder != nobody, nil), decision(holds > 0, nil), holds)
	d.same(rt, who, want, func(o owner, name string) string {
		n, err := o.holdCount(name)
		require.NoError(rt, err)
		return fmt.Sprint(decision(o.isLocked(name)), decision(o.isHeld(name)), n)
	})
}

// evict removes the locks without telling anybody.
func (d *duel) evict(*rapid.T) {
	d.expected.free()
	server.Do(d.t, "DEL", d.javaName, d.ourName)
}

// compare looks at what lies on the server.
func (d *duel) compare(rt *rapid.T) {
	var there, here map[string]string
	if d.expected.holder != nobody {
		holds := strconv.Itoa(len(d.expected.holds))
		there = map[string]string{d.java[d.expected.holder].field(d.javaName): holds}
		here = map[string]string{d.ours[d.expected.holder].field(d.ourName): holds}
	}
	require.Equal(rt, there, hash(d.t, d.javaName), "Redisson's hash")
	require.Equal(rt, here, hash(d.t, d.ourName), "this library's hash")
	require.InDelta(rt, d.expected.redisson, timeToLive(d.t, d.javaName), float64(tolerance), "Redisson's time to live")
	require.InDelta(rt, d.expected.ours, timeToLive(d.t, d.ourName), float64(tolerance), "this library's time to live")
	if d.expected.redisson != d.expected.ours {
		require.NotEmpty(rt, d.expected.apart, "a difference that is not listed")
	}
	for _, difference := range d.expected.apart {
		d.seen[difference]++
	}
}

// timeToLive returns that of a key, 0 if there is none.
func timeToLive(t *testing.T, name string) time.Duration {
	t.Helper()
	return time.Duration(max(number(t, "PTTL", name), 0)) * time.Millisecond
}

// tidy leaves nothing locked and no handle that remembers anything.
func (d *duel) tidy() {
	server.Do(d.t, "DEL", d.javaName, d.ourName)
	for who := range d.java {
		_ = d.java[who].unlock(d.javaName) // there is nothing to unlock
		_ = d.ours[who].unlock(d.ourName)
	}
}
