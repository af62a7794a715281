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

// spans reports whether the holder was inside all the time from call to ret.
func (h *hold) spans(call, ret int64) bool { return h.ret <= call && ret <= h.seen }

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
}

// spanned reports whether the owner was inside all the time from call to ret.
func (s *story) spanned(r Record) bool {
	return slices.ContainsFunc(s.holds, func(h *hold) bool { return h.owner == r.Owner && h.spans(r.Call, r.Return) })
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
