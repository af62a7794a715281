package rlock

import (
	"slices"
	"time"

	"github.com/go-rlock/rlock/watchdog"
)

// lose ends every hold of the tenure: for the given reason, unless its time was over
// anyway, which has a reason of its own. What is not there any more after a release that
// stayed unanswered was given back.
func (t *tenure) lose(reason Reason) { t.loseUntil(time.Now(), reason) }

// loseUntil is lose for the holds that there were at the given time. Those that were
// taken later are looked at again.
func (t *tenure) loseUntil(asked time.Time, reason Reason) {
	var over, given, others []*Hold
	t.room.mu.Lock()
	for _, h := range t.holds {
		ending := h.overLocked()
		over = append(over, ending...)
		switch {
		case len(ending) > 0:
		case h.from.After(asked):
			t.watch.Renew()
		case reason == Removed && h.uncertain:
			given = append(given, h)
		default:
			others = append(others, h)
		}
	}
	lost := t.loseLocked(reason, nil, others)
	back := t.endLocked(nil, given)
	if len(back) > 0 {
		t.room.dueLocked() // nobody knows whom that release gave the lock to, and whose ticket it took
	}
	t.room.mu.Unlock()
	t.settle(over)
	t.settle(back)
	t.settle(lost)
}

// loseLocked ends holds as lost. The caller settles them without the lock.
func (t *tenure) loseLocked(reason Reason, err error, holds []*Hold) (ending []*Hold) {
	if len(holds) == 0 {
		return nil
	}
	lost := &LostError{Name: t.room.names.lock, Reason: reason, Since: time.Now(), Err: err}
	t.client.losses.add(lossKey{t.room.names.lock, t.owner}, lost)
	end := lost.Since // of the lease
	if reason == Expired || reason == Unreachable {
		for _, h := range holds {
			end = latest(end, h.trust.Until().Add(watchdog.Margin(t.longestLocked())))
		}
	}
	ending = t.endLocked(lost, holds)
	if len(t.holds) == 0 && reason != ClientClosed { // whose lock is given back
		t.room.mindLapseLocked(end)
	}
	return ending
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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
		// Nobody shall use the name again whose lease or number of holds a late copy may still
		// state, or whose lock stays taken.
		if t.blurred || !t.keptUntil.IsZero() && time.Now().Before(t.keptUntil) {
			t.client.retire(t)
		}
		if err != nil {
			t.room.dueLocked() // it may be free
		}
		if t.room.line.ticket != "" && t.room.queue.Len() == 0 {
			t.client.start(nil, t.room.retreat)
		}
		if err != nil && t.blurred { // a reentry that stayed unanswered may last for longer
			t.client.start(t, t.undoRest)
		}
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
