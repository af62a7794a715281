package history

import (
	"cmp"
	"slices"
)

// narrow shortens the times of events to what every order that the model allows has in
// common. An order that the model allows before exists afterwards too, and the other
// way round; but a history of which the parts hang together only where they must can be
// cut into many short ones.
func (s *story) narrow(events []*event) {
	s.narrowAcquisitions(events)
	s.narrowEnds(events)
	s.narrowSights(events)
}

// narrowAcquisitions lets whoever was inside acquire only after everybody who was
// inside before. If another one was inside when the acquisition returned, nothing can
// explain that, and the event is left as it is.
func (s *story) narrowAcquisitions(events []*event) {
	holds := slices.DeleteFunc(slices.Clone(s.holds), func(h *hold) bool { return !h.inside() })
	slices.SortFunc(holds, func(a, b *hold) int { return cmp.Compare(a.ret, b.ret) })
	starts := slices.DeleteFunc(slices.Clone(events), func(e *event) bool { return e.kind != acquired || !s.byID[e.hold].inside() })
	slices.SortFunc(starts, func(a, b *event) int { return cmp.Compare(a.ret, b.ret) })

	var before rivals[*hold] // by when they were last inside
	for _, e := range starts {
		for len(holds) > 0 && holds[0].ret < e.ret {
			before.note(holds[0].owner, holds[0].seen, holds[0])
			holds = holds[1:]
		}
		if other, ok := before.against(e.owner); ok && other.seen <= e.ret {
			e.call = max(e.call, other.seen)
		}
	}
}

// narrowEnds lets a hold end at the latest when the next other owner has acquired.
func (s *story) narrowEnds(events []*event) {
	starts := slices.DeleteFunc(slices.Clone(events), func(e *event) bool { return e.kind != acquired })
	slices.SortFunc(starts, func(a, b *event) int { return cmp.Compare(b.call, a.call) })
	ends := slices.DeleteFunc(slices.Clone(events), func(e *event) bool { return e.kind != ended })
	slices.SortFunc(ends, func(a, b *event) int { return cmp.Compare(s.byID[b.hold].ret, s.byID[a.hold].ret) })

	var after rivals[*event] // by how early they have returned
	for _, e := range ends {
		for len(starts) > 0 && starts[0].call > s.byID[e.hold].ret {
			after.note(starts[0].owner, -starts[0].ret, starts[0])
			starts = starts[1:]
		}
		if next, ok := after.against(e.owner); ok && next.ret >= e.call {
			e.ret = min(e.ret, next.ret)
		}
	}
}

// narrowSights lets whoever saw the lock in other hands see it while somebody was
// inside, if that is possible.
func (s *story) narrowSights(events []*event) {
	holds := slices.DeleteFunc(slices.Clone(s.holds), func(h *hold) bool { return !h.inside() })
	slices.SortFunc(holds, func(a, b *hold) int { return cmp.Compare(a.ret, b.ret) })
	sights := slices.DeleteFunc(slices.Clone(events), func(e *event) bool { return e.kind != refused && e.kind != taken })
	slices.SortFunc(sights, func(a, b *event) int { return cmp.Compare(a.ret, b.ret) })

	var before rivals[*hold]
	for _, e := range sights {
		for len(holds) > 0 && holds[0].ret <= e.ret {
			before.note(holds[0].owner, holds[0].seen, holds[0])
			holds = holds[1:]
		}
		if other, ok := before.against(e.owner); ok && other.seen >= e.call {
			e.call, e.ret = max(e.call, other.ret), min(e.ret, other.seen)
		}
	}
}
