package rlock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/watchdog"
)

// A tenure is one owner's relation to one lock, from its first attempt until its
// last hold or attempt has ended, and again if the owner comes back before it is
// forgotten. The owner's name on the wire stays the same for as long.
type tenure struct {
	client *Client
	room   *room // the lock
	owner  Owner
	field  string // the owner's name on the wire
	epoch  int64

	// turn has one slot, taken by whoever runs a script of this tenure: one owner's
	// scripts on one lock come one after another. Its waits do not.
	turn chan struct{}
	// fresh: the server was not told of the tenure since it rested, nor did it say anything.
	fresh atomic.Bool

	// users counts the attempts, tasks and holds; when there are none the tenure rests, or
	// is forgotten. It leaves 0 and becomes 0 under Client.mu only.
	users atomic.Int64
	seat  int // among those that rest; -1: none. Protected by Client.mu.
	// retired: a copy of a script that takes the lock away from field, or states its lease
	// or number of holds, may still run, or the lock stays taken in its name for a minimum
	// time, so that field must not be used for a first hold again.
	retired atomic.Bool

	// What follows is protected by room.mu.

	holds []*Hold // that have not ended, outermost first; replaced, not edited, when one ends
	// low and high bound the number of holds that the server may count: more than
	// one number is possible once a script that states it stayed unanswered.
	low, high int
	blurred   bool

	// keptUntil is until when the lock stays taken at least, whichever hold is given back
	// last; zero: only while there are holds.
	keptUntil time.Time

	// floor is what an unanswered script may still shorten the lease to; 0: nothing does.
	floor time.Duration

	waiting   int    // waiters in the room
	lastSpent uint64 // the room's last attempt to leave a ticket before the last hold

	watch  *watchdog.Watch[vigil] // while there are holds
	vigils int                    // so far
	// asked is whether a renewal is unanswered, failed why one failed that none made up for.
	asked  bool
	failed error
}

// take waits for the tenure's turn to run a script, for as long as its other scripts
// take.
func (t *tenure) take() { t.turn <- struct{}{} }

func (t *tenure) give() { <-t.turn }

// An outcome is what an attempt to acquire came to: a hold, or somebody else's
// remaining lease, or an error.
type outcome struct {
	hold  *Hold
	ttl   time.Duration
	asked time.Time // no later than when the server said so
	err   error
}

// errRetired means that the attempt must be made by a new tenure.
var errRetired = errors.New("tenure retired")

// attempt runs one attempt to acquire, as far as the caller's patience goes. An
// attempt that is left alone is awaited and then undone.
func (t *tenure) attempt(p patience, r request, w *waiter) outcome {
	if p.endless() {
		t.take()
		defer t.give()
		return t.obtain(p.ctx, r, w)
	}
	var got struct {
		outcome

		settled atomic.Bool // by whichever comes first: the outcome, or the caller who leaves
	}
	left, why := t.client.apart(t, p, func(ctx context.Context) error {
		t.take()
		defer t.give()
		if got.settled.Load() {
			return nil
		}
		got.outcome = t.obtain(ctx, r, w)
		if !got.settled.CompareAndSwap(false, true) && got.hold != nil {
			t.undo(ctx, got.hold)
		}
		return nil
	})
	if left && got.settled.CompareAndSwap(false, true) {
		return outcome{err: why}
	}
	return got.outcome
}

// obtain returns what the waiter was handed while it waited for the tenure's turn, which
// the caller has; else it acquires. To acquire besides would make two holds of one.
func (t *tenure) obtain(ctx context.Context, r request, w *waiter) outcome {
	if h := w.pick(); h != nil {
		return outcome{hold: h}
	}
	return t.acquire(ctx, r, w)
}

// acquire takes the lock once, or one more time, or finds it in other hands and leaves
// a ticket if that is of use to w, who waits. The caller has the tenure's turn.
func (t *tenure) acquire(ctx context.Context, r request, w *waiter) outcome {
	c := t.client
	for {
		count := t.standing() + 1
		if count == 1 && t.retired.Load() {
			return outcome{err: errRetired}
		}
		lease := t.leaseFor(r)
		got, sent, open, f := t.demand(ctx, w, count, lease)
		if open {
			t.blur(count)
		}
		if f != nil {
			if f.unanswered && count == 1 {
				c.retire(t)
				t.undoLater(ctx, lease)
			}
			return outcome{err: f}
		}
		switch {
		case got.Status == lua.Done && t.expects(got.Found, count):
			if got.Found == 0 { // nor is there what somebody tried to give back in vain
				t.lose(Removed)
			}
			return t.grant(ctx, r, count, sent, lease)
		case got.Status == lua.Done, got.Status == lua.Gone:
			// The earlier holds are not there any more, whoever took them. This one
			// is the first.
			t.lose(Removed)
		case got.Status == lua.NotOwner:
			return outcome{ttl: got.TTL, asked: sent}
		case got.Status == lua.OtherKind:
			return outcome{err: errOtherKind}
		default:
			return outcome{err: fmt.Errorf("acquire script returned status %d", got.Status)}
		}
	}
}

// demand asks the server for one more hold. It returns what ask does, and when the
// answered copy was sent.
func (t *tenure) demand(ctx context.Context, w *waiter, count int, lease time.Duration) (got lua.Acquired, sent time.Time, open bool, f *fault) {
	c := t.client
	plain := func(ctx context.Context) (err error) {
		sent = time.Now()
		got, err = lua.Acquire(ctx, c.rdb, t.room.names.lock, t.field, count, lease)
		return err
	}
	fresh := t.fresh.Swap(false)
	ticket, earlier, ok := t.room.ticketFor(w, count)
	if !ok {
		open, f = c.ask(ctx, plain)
		return got, sent, open, f
	}
	e := lua.Enqueuing{
		Key: t.room.names.lock, Queue: t.room.names.queue, Owner: t.field, Lease: lease,
		Ticket: ticket, Earlier: earlier, Fresh: fresh, Clock: c.wantsClock(),
	}
	open, f = c.ask(ctx, func(ctx context.Context) error {
		sent = time.Now()
		enqueued, err := lua.Enqueue(ctx, c.rdb, e)
		if got = enqueued.Acquired; err == nil && !enqueued.Time.IsZero() {
			c.anchored(anchor{sent: sent, server: enqueued.Time})
		}
		e.Fresh = false
		return err
	})
	t.room.mu.Lock()
	switch {
	case open: // both may be there
	case f != nil: // nothing has changed
		t.room.line.queued(ticket, earlier)
	case got.Status == lua.Done:
		t.room.line.queued(ticket, "")
	case t.room.orphanedLocked(ticket):
		c.withdraw(t.room, ticket) //nolint:contextcheck // apart, when this turn is over
	}
	t.room.mu.Unlock()
	if f == nil || !noPermission(f) {
		return got, sent, open, f
	}
	// Perhaps an ACL refuses no more than what handing over needs.
	again, f2 := c.ask(ctx, plain)
	if f2 == nil {
		c.stopHandingOver(f)
	}
	return got, sent, open || again, f2
}

// leaseFor returns the lease that a new hold asks the server for.
func (t *tenure) leaseFor(r request) time.Duration {
	watched := max(t.client.watchdogTimeout, r.minHold)
	switch {
	case r.lease > 0:
		return r.lease
	case r.maxHold > 0:
		return min(r.maxHold, watched)
	default:
		return watched
	}
}

// longestLocked returns the longest lease that those may know of who wait for the lock, which
// is about to be given away.
func (t *tenure) longestLocked() time.Duration {
	if len(t.holds) == 0 {
		return t.client.watchdogTimeout
	}
	var longest time.Duration
	for _, h := range t.holds {
		longest = max(longest, t.leaseFor(request{lease: h.lease, minHold: h.least}))
	}
	return longest
}

// standing returns the number of holds that nobody has tried to give back yet.
func (t *tenure) standing() int {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	return len(t.standingLocked())
}

func (t *tenure) standingLocked() []*Hold {
	for i, h := range t.holds {
		if h.leaving {
			standing := slices.Clone(t.holds[:i])
			for _, h := range t.holds[i:] {
				if !h.leaving {
					standing = append(standing, h)
				}
			}
			return standing
		}
	}
	return t.holds
}

// expects reports whether the number of holds that a script found is one that this
// process left behind: count-1, or count if the script ran before. A first hold
// takes over whatever the same owner left.
func (t *tenure) expects(found, count int) bool {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	return count == 1 || found == count || t.low <= found && found <= t.high
}

// blur notes that the server may or may not count this number of holds.
func (t *tenure) blur(count int) {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	t.blurred = true
	t.low, t.high = min(t.low, count), max(t.high, count)
}

// countLocked notes the number of holds that the server has confirmed.
func (t *tenure) countLocked(count int) {
	if t.blurred {
		t.low, t.high = min(t.low, count), max(t.high, count)
		return
	}
	t.low, t.high = count, count
}

// grant makes a hold of a lease that the server gave no earlier than since, unless its
// time is over already, the client was closed meanwhile, or the last of the earlier holds
// ended and took the tenure's name along. The caller has the tenure's turn.
func (t *tenure) grant(ctx context.Context, r request, count int, since time.Time, lease time.Duration) outcome {
	now := time.Now()
	h := &Hold{tenure: t, parent: ctx, lease: r.lease, least: r.minHold, from: now}
	if end := r.lease + r.maxHold; end > 0 { // one of them is 0
		h.limit = since.Add(end)
	}
	t.client.enlist(t)

	t.room.mu.Lock()
	sure := t.sureLocked(lease)
	h.trust, h.provisional = watchdog.Since(since, sure), sure < t.leaseFor(r)
	over := h.trust.Over(now)
	t.countLocked(count)
	retired := t.retired.Load()
	t.holds = append(t.holds, h)
	t.lastSpent = t.room.line.attempt
	if t.watch == nil {
		t.vigils++
		t.watch = t.client.dog.Add(vigil{t, t.vigils})
		t.asked, t.failed = false, nil
	}
	t.room.grantedLocked(t, now.Add(lease))
	if !h.provisional {
		t.room.line.behind = -1
	}
	switch {
	case over, retired: // nobody will have it, and it is given back below
		h.leaving = true
	case h.provisional:
		t.client.alarm.set(h, since.Add(min(confirmAfter, sure/3)))
	default:
		t.client.alarm.set(h, h.trust.Until())
	}
	t.room.mu.Unlock()

	var refused error
	switch {
	case over:
		refused = fmt.Errorf("the lease of %v is shorter than the round trip to the server, which took %v", lease, now.Sub(since).Round(time.Microsecond))
	case t.client.isClosing():
		refused = ErrClosed
	case retired: // by another name the owner would be kept from its own hold
		refused = errRetired
	default:
		return outcome{hold: h}
	}
	t.undo(ctx, h)
	return outcome{err: refused}
}

// sureLocked returns how much of a lease can be relied on.
func (t *tenure) sureLocked(lease time.Duration) time.Duration {
	if t.floor > 0 {
		return min(lease, t.floor)
	}
	return lease
}

// undo gives back a hold that nobody will ever know of. The caller has the tenure's
// turn.
func (t *tenure) undo(ctx context.Context, h *Hold) {
	if err := t.release(ctx, h); err == nil || errors.Is(err, ErrLost) {
		return
	}
	t.room.mu.Lock()
	last := len(t.standingLocked()) == 0
	lease := t.leaseFor(request{lease: h.lease, minHold: h.least})
	ending := t.endLocked(nil, []*Hold{h})
	t.room.mu.Unlock()
	t.settle(ending)
	if last {
		t.client.retire(t)
		t.undoLater(ctx, lease)
	}
}

// errOtherKind means that what lies at the name is another kind of lock, in which the
// owner has a part.
var errOtherKind = errors.New("this owner has it as a read-write lock, which is left alone; a lock of one name has one kind")

// dueLocked returns the lease that the watchdog shall ask for: 0 to look only.
func (t *tenure) dueLocked(now time.Time) time.Duration {
	var longest time.Duration
	for _, h := range t.holds {
		longest = max(longest, h.due(now))
	}
	return longest
}

// field names on the wire: <client id>:<number of the owner>.
func fieldOf(clientID string, owner Owner, epoch int64) string {
	return clientID + ":" + strconv.FormatInt(owner.wire(epoch), 10)
}
