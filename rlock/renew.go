package rlock

import (
	"context"
	"errors"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// renewBatch is the number of locks that one script renews.
const renewBatch = 100

// A vigil is what the watchdog keeps alive: a tenure from when it has a hold until it has none.
type vigil struct {
	tenure *tenure
	number int // of the tenure's vigils
}

// lastsLocked reports whether the tenure is still in it.
func (v vigil) lastsLocked() bool { return v.tenure.watch != nil && v.tenure.vigils == v.number }

// renew is what the watchdog does with a batch: it extends the leases of holds that
// it keeps, and looks whether the others are still there. It leaves out what has ended since
// the batch was made: nobody would wait for its answer, which is none on later holds. So has
// what nobody has looked at in time: after a process was stopped, no renewal was in time whose
// answer could be waited for, so that the server is not to blame.
func (c *Client) renew(ctx context.Context, batch []vigil) error {
	sent := time.Now()
	renewals := make([]lua.Renewal, 0, len(batch))
	vigils := make([]vigil, 0, len(batch))
	for _, v := range batch {
		t := v.tenure
		t.room.mu.Lock()
		var over []*Hold
		if v.lastsLocked() {
			over = t.lapsedLocked()
		}
		if v.lastsLocked() {
			vigils = append(vigils, v)
			renewals = append(renewals, lua.Renewal{Key: t.room.names.lock, Owner: t.field, Lease: t.dueLocked(sent)})
			t.asked = true
		}
		t.room.mu.Unlock()
		t.settle(over)
	}
	if len(renewals) == 0 {
		return nil
	}
	p := patience{ctx: ctx, limit: sent.Add(min(scriptLimit, max(c.watchdogTimeout/3, c.gracePeriod)))}
	var verdicts []lua.Verdict
	_, err := c.apart(nil, p, func(ctx context.Context) (err error) {
		verdicts, err = lua.Renew(ctx, c.rdb, renewals)
		return err
	})
	if half := len(vigils) / 2; half > 0 && noPermission(err) { // to use one of the keys, perhaps
		return errors.Join(c.renew(ctx, vigils[:half]), c.renew(ctx, vigils[half:]))
	}
	if err != nil {
		err = classify(err)
		c.warn("locks could not be renewed; trying again", "locks", len(renewals), "error", err)
		for _, v := range vigils {
			v.failed(err)
		}
		return err
	}
	for i, v := range vigils {
		v.renewed(sent, renewals[i].Lease, verdicts[i])
	}
	return nil
}

// lapsedLocked ends the holds whose time is over, but for those that are being given back. The
// caller settles them without the lock.
func (t *tenure) lapsedLocked() (ending []*Hold) {
	for _, h := range t.holds {
		if !h.leaving {
			ending = append(ending, h.overLocked()...)
		}
	}
	return ending
}

// failed notes why a renewal failed.
func (v vigil) failed(err error) {
	t := v.tenure
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	if v.lastsLocked() {
		t.asked, t.failed = false, err
	}
}

// renewed notes what the server said to a renewal that was sent at the given time and asked
// for the given lease. A verdict on a vigil that ended meanwhile is not on what is held now.
func (v vigil) renewed(sent time.Time, asked time.Duration, verdict lua.Verdict) {
	t := v.tenure
	t.room.mu.Lock()
	current := v.lastsLocked()
	if current {
		t.asked = false
	}
	if current && verdict == lua.Kept {
		t.failed = nil
		t.room.line.behind = -1
		for _, h := range t.holds {
			h.renewedLocked(sent, asked)
		}
	}
	t.room.mu.Unlock()
	if current && verdict != lua.Kept {
		t.loseUntil(sent, Removed)
	}
}
