package history

import (
	"slices"
	"time"
)

const (
	// stray is for how long after its end an attempt of which only the library knows
	// how it went may still have the lock.
	stray = time.Second
	// aftermath is for how long a disturbance may leave the lock in hands that no
	// record tells of: the longest lease, of what a lost request acquired, and more.
	aftermath = 15 * time.Second
	// echo is for how long after a disturbance a late copy of a request may change
	// the number of holds that the server counts.
	echo = time.Second
)

// events returns what the records of a lock say took effect.
func (s *story) events() []*event {
	var all []*event
	strays := s.strays()
	for _, r := range s.records {
		if e := s.event(r, strays); e != nil {
			all = append(all, e)
		}
	}
	for _, h := range s.holds {
		all = append(all, &event{kind: ended, owner: h.owner, call: max(h.seen, h.call), ret: h.gone, hold: h.id})
	}
	return all
}

// event returns what took effect with one call, or nil if its outcome is unknown or is
// that of its hold.
func (s *story) event(r Record, strays []span) *event {
	e := &event{owner: r.Owner, call: r.Call, ret: r.Return, hold: r.Hold, holds: r.Holds}
	switch {
	case !r.Result.known():
		return nil
	case r.Op == Acquire && r.Result == Locked:
		e.kind = acquired
	case r.Op == Acquire && r.Result == Refused:
		e.kind, e.excused, e.spanned = refused, s.excused(r, strays), s.spanned(r)
	case r.Op == Release && r.Hold == 0 && r.Result != Released:
		e.kind, e.spanned = unheld, s.spanned(r)
	case r.Op == Release && s.expected(r):
		return nil
	case r.Op == Count:
		e.kind, e.excused = counted, s.excused(r, strays)
		e.loose = s.disturbedWithin(r.Owner, r.Call-int64(echo), r.Return)
		e.spare = s.spare(r)
	case r.Op == Ask && r.Result == Taken:
		e.kind, e.excused = taken, s.excused(r, strays)
	case r.Op == Ask && r.Result == Free:
		e.kind = free
	default:
		e.kind = wrong
	}
	return e
}

// expected reports whether Unlock of a hold may return that result. That it ended for
// no reason, or had ended before, is not among them: it is given back only once.
func (s *story) expected(r Record) bool {
	h := s.byID[r.Hold]
	switch {
	case h == nil:
		return false
	case r.Result == Released:
		return h.gone == r.Return
	case r.Result == NotHeld:
		return h.unknown
	default:
		return r.Result == Lost || r.Result == Removed
	}
}

// A span is a time.
type span struct{ from, to int64 }

// strays returns when attempts that ended without a lock, or took so long that they may
// have been repeated, may have had it for a moment.
func (s *story) strays() []span {
	var all []span
	for _, r := range s.records {
		if r.gaveUp() || r.Op == Acquire && r.Return-r.Call >= int64(stray) {
			all = append(all, r.astray())
		}
	}
	return all
}

// gaveUp reports whether the record is that of an attempt of which only the library knows
// how it went.
func (r Record) gaveUp() bool {
	return r.Op == Acquire && (r.Bounded && r.Result == Refused || !r.Result.known())
}

// astray returns when the attempt may have had the lock, should it not have been refused.
func (r Record) astray() span { return span{r.Call, r.Return + int64(stray)} }

// meets reports whether the record was under way at some time of the span.
func (at span) meets(r Record) bool { return at.from <= r.Return && r.Call <= at.to }

// spare returns how many holds of the record's owner there may be that no record tells of:
// those of its attempts that gave up, in other goroutines.
func (s *story) spare(r Record) (n int) {
	for _, at := range s.astray[r.Owner] {
		if at.meets(r) {
			n++
		}
	}
	return n
}

// excused reports whether the lock may have been in hands that no record tells of.
func (s *story) excused(r Record, strays []span) bool {
	return s.disturbedWithin("", r.Call-int64(aftermath), r.Return) ||
		slices.ContainsFunc(strays, func(at span) bool { return at.meets(r) })
}
