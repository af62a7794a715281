//go:build interop

package interop_test

import "time"

// A difference is one that there is on purpose between Redisson and this library, where
// the hold counts and the results are the same and the times to live are not.
type difference string

const (
	shorterReentry difference = "a re-entry with a shorter lease"
	partialUnlock  difference = "a partial unlock"
	staleHandle    difference = "a lock without a lease after one with a lease that was never unlocked"
)

// differences says why.
var differences = map[difference]string{
	shorterReentry: "Redisson sets the time to live to the lease of the re-entry and so cuts that of the outer hold; " +
		"here the lock lasts as long as the longest of its holds.",
	partialUnlock: "Redisson sets the time to live to what the handle was used with last, whatever remains; " +
		"here it is the longest lease of the holds that remain.",
	staleHandle: "A handle of Redisson remembers the lease of its last use until an unlock, and gives it to a lock under the watchdog, " +
		"which may then end before it is first renewed; here a handle remembers nothing.",
}

// A ledger is what both sides should have, with a rule of its own for either one's time
// to live.
type ledger struct {
	holder int             // nobody, or the index of the owner
	holds  []time.Duration // the leases of its holds, the innermost last

	redisson, ours time.Duration    // what the lock was last given to live
	handles        [2]time.Duration // what the owners' handles of Redisson remember
	apart          []difference     // why the two differ, since the lock was last free
}

const nobody = -1

func newLedger() *ledger {
	return &ledger{holder: nobody, handles: [2]time.Duration{longWatchdog, longWatchdog}}
}

// acquire notes an attempt, and returns whether it succeeds. Lease is 0 for the
// watchdog's.
func (l *ledger) acquire(who int, lease time.Duration) bool {
	if l.holder != nobody && l.holder != who {
		return false
	}
	wanted, given := lease, lease
	if lease == 0 {
		wanted, given = longWatchdog, l.handles[who]
		if given != wanted {
			l.apart = append(l.apart, staleHandle)
		}
	} else {
		l.handles[who] = lease
	}
	if given < l.ours {
		l.apart = append(l.apart, shorterReentry)
	}
	l.holder, l.holds = who, append(l.holds, wanted)
	l.redisson, l.ours = given, max(l.ours, wanted)
	return true
}

// unlock notes an unlock of the innermost hold, and returns whether there is one.
func (l *ledger) unlock(who int) bool {
	if l.holder != who {
		l.handles[who] = longWatchdog
		return false
	}
	l.holds = l.holds[:len(l.holds)-1]
	if len(l.holds) == 0 {
		l.handles[who] = longWatchdog
		l.free()
		return true
	}
	l.redisson, l.ours = l.handles[who], longest(l.holds)
	if l.redisson != l.ours {
		l.apart = append(l.apart, partialUnlock)
	}
	return true
}

// force notes that an owner forces the lock open, and returns whether there was one.
func (l *ledger) force(who int) bool {
	l.handles[who] = longWatchdog
	return l.free()
}

// free notes that the lock is gone, and returns whether there was one.
func (l *ledger) free() bool {
	held := l.holder != nobody
	l.holder, l.holds, l.redisson, l.ours, l.apart = nobody, nil, 0, 0, nil
	return held
}

func longest(leases []time.Duration) (most time.Duration) {
	for _, lease := range leases {
		most = max(most, lease)
	}
	return most
}
