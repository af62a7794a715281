package history

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// forever is the time of what has not been seen to happen.
const forever = math.MaxInt64

// A story is what happened to one lock.
type story struct {
	name    string
	records []Record
	holds   []*hold
	byID    map[int64]*hold
	reigns  map[string][]span // when each owner was inside, in order and without a gap
	astray  map[string][]span // when attempts of each owner that gave up may have had it
	// disturbed are the disturbances of all locks.
	disturbed []Record
}

// A hold is what the records tell of one hold: it was acquired between call and ret,
// its holder was inside from ret to seen, and it ended between seen and gone.
type hold struct {
	id        int64
	owner     string
	call, ret int64
	seen      int64 // before call if the holder was never inside
	gone      int64 // forever if nobody knows
	released  bool  // somebody has called Unlock
	unknown   bool  // an Unlock had no known outcome
}

// inside reports whether the holder was inside at all.
func (h *hold) inside() bool { return h.seen >= h.ret }

// tell sorts records by lock.
func tell(records []Record) []*story {
	var disturbed []Record
	stories := map[string]*story{}
	for _, r := range records {
		if r.Op == Disturb {
			disturbed = append(disturbed, r)
			continue
		}
		s := stories[r.Name]
		if s == nil {
			s = &story{name: r.Name, byID: map[int64]*hold{}}
			stories[r.Name] = s
		}
		s.records = append(s.records, r)
	}
	var all []*story
	for _, s := range stories {
		s.disturbed = disturbed
		s.digest()
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *story) int { return cmp.Compare(a.name, b.name) })
	return all
}

// digest finds out about the holds.
func (s *story) digest() {
	slices.SortStableFunc(s.records, func(a, b Record) int { return cmp.Compare(a.Call, b.Call) })
	for _, r := range s.records {
		if r.Op == Acquire && r.Result == Locked {
			h := &hold{id: r.Hold, owner: r.Owner, call: r.Call, ret: r.Return, gone: forever}
			s.holds = append(s.holds, h)
			s.byID[r.Hold] = h
		}
	}
	for _, r := range s.records {
		h := s.byID[r.Hold]
		if r.Op != Release || h == nil {
			continue
		}
		if !h.released { // who tries again was not inside meanwhile
			h.released, h.seen = true, r.Seen
		}
		if r.Result == Released || r.Result == NotHeld && h.unknown {
			h.gone = r.Return
		}
		h.unknown = h.unknown || !r.Result.known()
	}
	s.reigns, s.astray = reigns(s.holds), map[string][]span{}
	for _, r := range s.records {
		if r.gaveUp() {
			s.astray[r.Owner] = append(s.astray[r.Owner], r.astray())
		}
	}
}

// reigns returns when each owner was inside, with whichever of its holds.
func reigns(holds []*hold) map[string][]span {
	inside := slices.DeleteFunc(slices.Clone(holds), func(h *hold) bool { return !h.inside() })
	slices.SortFunc(inside, func(a, b *hold) int { return cmp.Compare(a.ret, b.ret) })
	all := map[string][]span{}
	for _, h := range inside {
		of := all[h.owner]
		if last := len(of) - 1; last >= 0 && h.ret <= of[last].to {
			of[last].to = max(of[last].to, h.seen)
			continue
		}
		all[h.owner] = append(of, span{h.ret, h.seen})
	}
	return all
}

// spanned reports whether the owner was inside all the time from call to ret.
func (s *story) spanned(r Record) bool {
	return slices.ContainsFunc(s.reigns[r.Owner], func(at span) bool { return at.from <= r.Call && r.Return <= at.to })
}

// disturbedWithin reports whether a disturbance of the owner's process, or of any if
// the owner is empty, lies within the time.
func (s *story) disturbedWithin(owner string, from, to int64) bool {
	process, _, _ := strings.Cut(owner, "/")
	return slices.ContainsFunc(s.disturbed, func(d Record) bool {
		concerns := owner == "" || d.Owner == "" || d.Owner == process
		return concerns && d.Call <= to && from <= d.Return
	})
}
