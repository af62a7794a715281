package rlock

import (
	"context"
	"fmt"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// leave gives back one hold. If it cannot, because of a fault that may go away, it goes
// on trying apart from its caller until the hold ends by itself.
func (t *tenure) leave(ctx context.Context, h *Hold) error {
	err := t.inTurn(ctx, h)
	if passing(err) && !h.pursued.Swap(true) {
		t.client.start(t, func() { t.pursue(context.WithoutCancel(ctx), h) })
	}
	return err
}

func (t *tenure) pursue(ctx context.Context, h *Hold) {
	const first, longest = 50 * time.Millisecond, time.Second
	for delay := first; pause(t.client.closing, delay) && !h.check(); delay = min(2*delay, longest) {
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
	watch := t.watch
	t.room.mu.Unlock()
	watch.Pause() // may last, and holds may end meanwhile

	t.room.mu.Lock()
	rest := len(t.standingLocked())
	leaving, lease := t.holds, minDuration // unless some stay
	if rest > 0 {
		leaving, lease = t.leavingLocked(), t.remainingLocked(time.Now())
	}
	t.room.mu.Unlock()
	var err error
	if rest > 0 {
		err = t.reduce(ctx, h, leaving, rest, lease)
	} else {
		err = t.vacate(ctx, h, leaving)
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
		got, err = lua.Reduce(ctx, c.rdb, t.room.names.lock, t.field, rest, lease, c.told(t.room.names))
		return err
	})
	if open { // a late copy may still shorten the lease of this tenure's later holds
		t.blur(rest)
		t.room.mu.Lock()
		t.floor = t.sureLocked(lease)
		t.room.mu.Unlock()
		doubt(leaving)
	}
	if f != nil {
		return f
	}
	given := func() {
		t.room.mu.Lock()
		t.countLocked(rest)
		ending := t.endLocked(nil, leaving)
		t.room.mu.Unlock()
		t.settle(ending)
	}
	switch {
	case got.Status == lua.Done:
		given()
		return nil
	case got.Status == lua.NotOwner && h.uncertain:
		// A copy has run, and the lease that it left for the rest has ended since.
		given()
		t.lose(Expired)
		return nil
	case got.Status == lua.NotOwner:
		t.lose(Removed)
		return h.lost()
	case got.Status == lua.OtherKind:
		return errOtherKind
	default:
		return fmt.Errorf("reduce script returned status %d", got.Status)
	}
}

// told returns who is told that the lease of a lock has become shorter.
func (c *Client) told(names *names) lua.Told {
	if c.handsOver() {
		return lua.Told{Channel: names.channel, Beacon: names.beacon()}
	}
	return lua.Told{Channel: names.channel}
}

// vacate gives back all holds, h among them.
func (t *tenure) vacate(ctx context.Context, h *Hold, leaving []*Hold) error {
	giveAway := t.passOn
	if t.keptFor() > 0 {
		giveAway = t.keep
	}
	status, err := giveAway(ctx, &h.uncertain)
	if h.uncertain {
		doubt(leaving)
	}
	switch {
	case err != nil:
		return err
	case status == lua.Done, status == lua.NotOwner && h.uncertain:
		return nil
	case status == lua.NotOwner:
		t.lose(Removed)
		return h.lost()
	case status == lua.OtherKind:
		return errOtherKind
	default:
		return fmt.Errorf("release script returned status %d", status)
	}
}

// passOn gives away a lock of which the tenure has the last hold, or a grant that
// nobody wants: to the next in line, or in public. The caller has the tenure's turn.
// Uncertain says that a copy of an earlier release may have run.
func (t *tenure) passOn(ctx context.Context, uncertain *bool) (lua.Status, error) {
	c, names := t.client, t.room.names
	if !c.handsOver() {
		return t.publish(ctx, uncertain, t.free)
	}
	status, refusal := lua.Queued, error(nil)
	if !t.room.contended() {
		status, refusal = t.publish(ctx, uncertain, func(ctx context.Context) (lua.Released, error) {
			return lua.ReleaseAlone(ctx, c.rdb, names.lock, names.queue, t.field, names.channel)
		})
	}
	if status == lua.Queued && refusal == nil {
		status, refusal = t.transfer(ctx, uncertain)
	}
	if !noPermission(refusal) {
		return status, refusal
	}
	// Perhaps an ACL refuses no more than what handing over needs.
	status, err := t.publish(ctx, uncertain, t.free)
	if err == nil {
		c.stopHandingOver(refusal)
	}
	return status, err
}

// free is the script that gives away a lock in public.
func (t *tenure) free(ctx context.Context) (lua.Released, error) {
	names := t.room.names
	return lua.Release(ctx, t.client.rdb, names.lock, t.field, names.channel)
}

// publish gives away a lock in public, with a script that does so.
func (t *tenure) publish(ctx context.Context, uncertain *bool, release func(context.Context) (lua.Released, error)) (lua.Status, error) {
	c := t.client
	var got lua.Released
	t.room.expectRelease()
	open, f := c.insist(ctx, func(ctx context.Context) (err error) {
		got, err = release(ctx)
		return err
	})
	if open {
		c.retire(t)
		*uncertain = true
	}
	if f != nil || got.Status != lua.Done || got.Unheard {
		t.room.unexpected()
	}
	if f != nil {
		return 0, f
	}
	if got.Status == lua.Done || got.Status == lua.NotOwner && *uncertain {
		t.ended()
	}
	if got.Unheard { // whoever hears of that may close the client, which ends holds as lost
		c.warnUnheard(t.room.names.lock)
	}
	return got.Status, nil
}

// undoLater gives back what an unanswered script may have taken in the name of the
// tenure, which is retired and of which nobody has a hold, as soon as the server answers.
// After a lease it has ended anyway.
func (t *tenure) undoLater(ctx context.Context, lease time.Duration) {
	end := time.Now().Add(lease)
	ctx = context.WithoutCancel(ctx)
	t.client.start(t, func() {
		for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
			last := t.client.isClosing()
			f := t.undoNow(ctx)
			if last || f == nil || !f.passing() || time.Now().Add(delay).After(end) {
				return
			}
			_ = pause(t.client.closing, delay) // then it is tried once more
		}
	})
}

// undoRest is undoLater for a tenure whose holds have ended by themselves.
func (t *tenure) undoRest() { t.undoLater(context.Background(), t.client.watchdogTimeout) }

// undoNow is one try of undoLater. It gives back, too, what somebody has tried to give
// back in vain.
func (t *tenure) undoNow(ctx context.Context) *fault {
	t.take()
	defer t.give()
	script := t.free
	if t.keptFor() > 0 {
		script = t.keeping()
	}
	_, f := t.client.ask(ctx, func(ctx context.Context) error {
		_, err := script(ctx)
		return err
	})
	if f == nil {
		t.ended()
	}
	return f
}

// doubt notes that a script that gives these holds back stayed unanswered.
func doubt(leaving []*Hold) {
	for _, h := range leaving {
		h.uncertain = true
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

// remainingLocked returns the longest lease among the holds that stay, or the rest of
// the minimum if that is longer: also of a hold that Lock is about to return, because
// its lease is trusted.
func (t *tenure) remainingLocked(now time.Time) time.Duration {
	longest := max(minDuration, t.keptUntil.Sub(now))
	for _, h := range t.standingLocked() {
		longest = max(longest, h.due(now), h.from.Add(h.least).Sub(now))
	}
	return longest
}

// surrender gives the lock back when the client is closed, whose holds have ended.
func (t *tenure) surrender(ctx context.Context) error {
	t.take()
	defer t.give()
	if t.keptFor() > 0 {
		var uncertain bool
		_, err := t.keep(ctx, &uncertain)
		return err
	}
	return t.room.surrender(ctx, t.field)
}

// surrender gives the lock back in the name of an owner.
func (r *room) surrender(ctx context.Context, field string) error {
	c := r.client
	give := func(script func(context.Context) error) error {
		if _, f := c.insist(ctx, script); f != nil {
			return f
		}
		return nil
	}
	public := func(ctx context.Context) error {
		_, err := lua.Release(ctx, c.rdb, r.names.lock, field, r.names.channel)
		return err
	}
	if !c.handsOver() {
		return give(public)
	}
	p := r.passing()
	p.Owner, p.Stale = field, lua.AllStale
	refusal := give(func(ctx context.Context) error {
		_, err := lua.Pass(ctx, c.rdb, p)
		return err
	})
	if !noPermission(refusal) {
		return refusal
	}
	// Perhaps an ACL refuses no more than what handing over needs.
	err := give(public)
	if err == nil {
		c.stopHandingOver(refusal)
	}
	return err
}
