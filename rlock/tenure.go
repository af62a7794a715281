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
// last hold or attempt has ended. The owner's name on the wire stays the same for
// as long.
type tenure struct {
	client *Client
	room   *room // the lock
	owner  Owner
	field  string // the owner's name on the wire
	epoch  int64

	// turn has one slot, taken by whoever runs a script of this tenure: one owner's
	// scripts on one lock come one after another. Its waits do not.
	turn chan struct{}

	// users counts the attempts, tasks and holds; when there are none the tenure is
	// forgotten. It leaves 0 and becomes 0 under Client.mu only.
	users atomic.Int64
	// retired: a copy of a script that takes the lock away from field may still
	// run, so that field must not be used for a first hold again.
	retired atomic.Bool

	// What follows is protected by room.mu.

	holds []*Hold // that have not ended, outermost first; replaced, not edited, when one ends
	// low and high bound the number of holds that the server may count: more than
	// one number is possible once a script that states it stayed unanswered.
	low, high int
	blurred   bool

	watch *watchdog.Watch[*tenure] // while there are holds
	// asked is whether a renewal is unanswered, failed why the last one failed.
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
	hold *Hold
	ttl  time.Duration
	err  error
}

// errRetired means that the attempt must be made by a new tenure.
var errRetired = errors.New("tenure retired")

// attempt runs one attempt to acquire, as far as the caller's patience goes. An
// attempt that is left alone is awaited and then undone.
func (t *tenure) attempt(p patience, r request) outcome {
	if p.endless() {
		t.take()
		defer t.give()
		return t.acquire(p.ctx, r)
	}
	var (
		result  outcome
		settled atomic.Bool // by whichever comes first: the result, or the caller who leaves
	)
	left := t.client.apart(t, p, func(ctx context.Context) {
		t.take()
		defer t.give()
		if settled.Load() {
			return
		}
		result = t.acquire(ctx, r)
		if !settled.CompareAndSwap(false, true) && result.hold != nil {
			t.undo(ctx, result.hold)
		}
	})
	if left != nil && settled.CompareAndSwap(false, true) {
		return outcome{err: left}
	}
	return result
}

// acquire takes the lock once, or one more time, or finds it in other hands. The
// caller has the tenure's turn.
func (t *tenure) acquire(ctx context.Context, r request) outcome {
	c := t.client
	for {
		count := t.standing() + 1
		if count == 1 && t.retired.Load() {
			return outcome{err: errRetired}
		}
		lease := t.leaseFor(r)
		var (
			got  lua.Acquired
			sent time.Time
		)
		open, f := c.ask(ctx, func(ctx context.Context) (err error) {
			sent = time.Now()
			got, err = lua.Acquire(ctx, c.rdb, t.room.name, t.field, count, lease)
			return err
		})
		if open && count > 1 {
			t.blur(count)
		}
		if f != nil {
			if f.unanswered && count == 1 {
				c.retire(t)
				c.undoLater(ctx, t, lease)
			}
			return outcome{err: f}
		}
		switch {
		case got.Status == lua.Done && t.expects(got.Found, count):
			return t.grant(ctx, r, count, sent, lease)
		case got.Status == lua.Done, got.Status == lua.Gone:
			// The earlier holds are not there any more, whoever took them. This one
			// is the first.
			t.lose(Removed)
		case got.Status == lua.NotOwner:
			return outcome{ttl: got.TTL}
		case got.Status == lua.OtherKind:
			return outcome{err: errors.New("this owner has it as a read-write lock; a lock of one name has one kind")}
		default:
			return outcome{err: fmt.Errorf("acquire script returned status %d", got.Status)}
		}
	}
}

// leaseFor returns the lease that a new hold asks the server for.
func (t *tenure) leaseFor(r request) time.Duration {
	switch {
	case r.lease > 0:
		return r.lease
	case r.maxHold > 0:
		return min(r.maxHold, t.client.watchdogTimeout)
	default:
		return t.client.watchdogTimeout
	}
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

// grant makes a hold of an acquisition that the server has confirmed, unless its
// time is over already or the client was closed meanwhile.
func (t *tenure) grant(ctx context.Context, r request, count int, sent time.Time, lease time.Duration) outcome {
	h := &Hold{tenure: t, parent: ctx, lease: r.lease, trust: watchdog.Since(sent, lease)}
	if end := r.lease + r.maxHold; end > 0 { // one of them is 0
		h.limit = sent.Add(end)
	}
	now := time.Now()
	over := h.trust.Over(now)
	t.client.enlist(t)

	t.room.mu.Lock()
	t.countLocked(count)
	t.holds = append(t.holds, h)
	if t.watch == nil {
		t.watch = t.client.dog.Add(t)
		t.asked, t.failed = false, nil
	}
	t.room.grantedLocked(t, now.Add(lease))
	if !over { // else nobody will have it, and it is given back below
		t.client.alarm.set(h, h.trust.Until())
	}
	t.room.mu.Unlock()

	var refused error
	switch {
	case over:
		refused = fmt.Errorf("the lease of %v is shorter than the round trip to the server, which took %v", lease, now.Sub(sent).Round(time.Microsecond))
	case t.client.isClosing():
		refused = ErrClosed
	default:
		return outcome{hold: h}
	}
	t.undo(ctx, h)
	return outcome{err: refused}
}

// undo gives back a hold that nobody will ever know of. The caller has the tenure's
// turn.
func (t *tenure) undo(ctx context.Context, h *Hold) {
	if err := t.release(ctx, h); err == nil || errors.Is(err, ErrLost) {
		return
	}
	t.room.mu.Lock()
	last := len(t.standingLocked()) == 0
	lease := t.leaseFor(request{lease: h.lease})
	ending := t.endLocked(nil, []*Hold{h})
	t.room.mu.Unlock()
	t.settle(ending)
	if last {
		t.client.retire(t)
		t.client.undoLater(ctx, t, lease)
	}
}

// leave gives back one hold. If it cannot, because of a fault that may go away, it goes
// on trying apart from its caller until the hold ends by itself.
func (t *tenure) leave(ctx context.Context, h *Hold) error {
	err := t.inTurn(ctx, h)
	if passing(err) && !h.pursued.Swap(true) {
		t.client.start(t, nil, func() { t.pursue(context.WithoutCancel(ctx), h) })
	}
	return err
}

func (t *tenure) pursue(ctx context.Context, h *Hold) {
	const first, longest = 50 * time.Millisecond, time.Second
	for delay := first; pause(t.client.closing, delay) && !h.check(false); delay = min(2*delay, longest) {
		if err := t.inTurn(ctx, h); !passing(err) {
			return
		}
	}
}

// inTurn releases a hold when the tenure's turn has come.
func (t *tenure) inTurn(ctx context.Context, h *Hold) error {
	t.take()
	defer t.give()
	return t.release(ctx, h)
}

// release gives back one hold, and with it all that somebody tried to give back in
// vain before. The caller has the tenure's turn.
func (t *tenure) release(ctx context.Context, h *Hold) error {
	t.room.mu.Lock()
	if h.ended {
		t.room.mu.Unlock()
		return h.err
	}
	h.leaving = true
	rest := len(t.standingLocked())
	leaving := t.leavingLocked()
	lease := minDuration
	if rest > 0 {
		lease = t.remainingLocked(time.Now())
	}
	watch := t.watch
	t.room.mu.Unlock()

	watch.Pause()
	var err error
	if rest > 0 {
		err = t.reduce(ctx, h, leaving, rest, lease)
	} else {
		err = t.vacate(ctx, h)
	}
	if err != nil || rest > 0 {
		watch.Resume()
	}
	return err
}

// reduce gives back some of the holds, h among them, and keeps the rest.
func (t *tenure) reduce(ctx context.Context, h *Hold, leaving []*Hold, rest int, lease time.Duration) error {
	c := t.client
	var got lua.Released
	open, f := c.insist(ctx, func(ctx context.Context) (err error) {
		got, err = lua.Reduce(ctx, c.rdb, t.room.name, t.field, rest, lease)
		return err
	})
	if open {
		t.blur(rest)
	}
	if f != nil {
		return f
	}
	switch got.Status {
	case lua.Done:
		t.room.mu.Lock()
		t.countLocked(rest)
		ending := t.endLocked(nil, leaving)
		t.room.mu.Unlock()
		t.settle(ending)
		return nil
	case lua.NotOwner:
		t.lose(Removed)
		return h.lost()
	case lua.OtherKind:
		return errors.New("it became a read-write lock; what this owner has there is left alone")
	default:
		return fmt.Errorf("reduce script returned status %d", got.Status)
	}
}

// vacate gives back the last hold.
func (t *tenure) vacate(ctx context.Context, h *Hold) error {
	c := t.client
	var got lua.Released
	t.room.expectRelease()
	open, f := c.insist(ctx, func(ctx context.Context) (err error) {
		got, err = lua.Release(ctx, c.rdb, t.room.name, t.field, t.room.channel)
		return err
	})
	if open {
		c.retire(t)
		h.uncertain = true
	}
	if f != nil || got.Status != lua.Done || got.Unheard {
		t.room.unexpected()
	}
	if f != nil {
		return f
	}
	switch {
	case got.Status == lua.Done, got.Status == lua.NotOwner && h.uncertain:
		if got.Unheard {
			c.warnUnheard(t.room.name)
		}
		t.room.mu.Lock()
		ending := t.endLocked(nil, t.holds)
		t.room.mu.Unlock()
		t.settle(ending)
		return nil
	case got.Status == lua.NotOwner:
		t.lose(Removed)
		return h.lost()
	case got.Status == lua.OtherKind:
		return errors.New("it became a read-write lock; what this owner has there is left alone")
	default:
		return fmt.Errorf("release script returned status %d", got.Status)
	}
}

// leavingLocked returns the holds that somebody has tried to give back.
func (t *tenure) leavingLocked() []*Hold {
	var leaving []*Hold
	for _, h := range t.holds {
		if h.leaving {
			leaving = append(leaving, h)
		}
	}
	return leaving
}

// remainingLocked returns the longest lease among the holds that stay.
func (t *tenure) remainingLocked(now time.Time) time.Duration {
	longest := minDuration
	for _, h := range t.standingLocked() {
		longest = max(longest, h.due(now))
	}
	return longest
}

// lose ends every hold of the tenure: for the given reason, unless its time was over
// anyway.
func (t *tenure) lose(reason Reason) {
	now := time.Now()
	var over, others []*Hold
	t.room.mu.Lock()
	for _, h := range t.holds {
		if h.trust.Over(now) {
			over = append(over, h)
		} else {
			others = append(others, h)
		}
	}
	expired := t.loseLocked(Expired, nil, over)
	lost := t.loseLocked(reason, nil, others)
	t.room.mu.Unlock()
	t.settle(expired)
	t.settle(lost)
}

// loseLocked ends holds as lost. The caller settles them without the lock.
func (t *tenure) loseLocked(reason Reason, err error, holds []*Hold) (ending []*Hold) {
	if len(holds) == 0 {
		return nil
	}
	lost := &LostError{Name: t.room.name, Reason: reason, Since: time.Now(), Err: err}
	t.client.losses.add(lossKey{t.room.name, t.owner}, lost)
	return t.endLocked(lost, holds)
}

// endLocked ends those holds that have not ended, as unlocked if err is nil. The
// caller settles them without the lock.
func (t *tenure) endLocked(err error, holds []*Hold) (ending []*Hold) {
	var rest []*Hold
	for _, h := range t.holds {
		if !slices.Contains(holds, h) {
			rest = append(rest, h)
			continue
		}
		h.ended, h.err = true, err
		t.client.alarm.clear(h)
	}
	ending = t.holds
	if len(rest) > 0 {
		ending = slices.DeleteFunc(slices.Clone(ending), func(h *Hold) bool { return !h.ended })
	}
	t.holds = rest
	if len(rest) == 0 && t.watch != nil {
		t.watch.Forget()
		t.watch = nil
		t.room.vacatedLocked(t)
	}
	return ending
}

// settle tells everybody else that holds have ended.
func (t *tenure) settle(ending []*Hold) {
	for _, h := range ending {
		h.cancel()
		t.client.delist(t)
	}
}

// renewed notes what the server said of a watch to a renewal that was sent at the
// given time. A verdict on a watch that ended meanwhile is not on what is held now.
func (t *tenure) renewed(watch *watchdog.Watch[*tenure], sent time.Time, verdict lua.Verdict) {
	t.room.mu.Lock()
	t.asked, t.failed = false, nil
	current := t.watch == watch
	if current && verdict == lua.Kept {
		for _, h := range t.holds {
			h.renewedLocked(sent)
		}
	}
	t.room.mu.Unlock()
	if current && verdict != lua.Kept {
		t.lose(Removed)
	}
}

// surrender gives the lock back when the client is closed, whose holds have ended.
func (t *tenure) surrender() error {
	t.take()
	defer t.give()
	c := t.client
	_, f := c.insist(context.Background(), func(ctx context.Context) error {
		_, err := lua.Release(ctx, c.rdb, t.room.name, t.field, t.room.channel)
		return err
	})
	if f != nil {
		return f
	}
	return nil
}

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
