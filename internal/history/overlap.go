package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Overlaps is the direct check: it returns a sentence for every hold whose holder was
// inside while somebody else was, and for every hold that the server no longer had
// although its holder had reason to rely on it.
func Overlaps(records []Record) []string {
	var found []string
	for _, s := range tell(records) {
		found = append(found, s.overlaps()...)
		for _, r := range s.records {
			if r.Result == Removed && r.Hold != 0 { // else an Unlock of nothing tells of an earlier one
				found = append(found, fmt.Sprintf("lock %s: owner %s lost hold %d at %d, which it trusted: removed or taken over", s.name, r.Owner, r.Hold, r.Return))
			}
		}
	}
	return found
}

func (s *story) overlaps() (found []string) {
	holds := slices.DeleteFunc(slices.Clone(s.holds), func(h *hold) bool { return !h.inside() })
	slices.SortFunc(holds, func(a, b *hold) int { return cmp.Compare(a.ret, b.ret) })
	var latest rivals[*hold]
	for _, h := range holds {
		if other, ok := latest.against(h.owner); ok && h.ret < other.seen {
			found = append(found, fmt.Sprintf("lock %s: owner %s was inside with hold %d from %d to %d, and owner %s with hold %d from %d to %d",
				s.name, other.owner, other.id, other.ret, other.seen, h.owner, h.id, h.ret, h.seen))
		}
		latest.note(h.owner, h.seen, h)
	}
	return found
}

// rivals remember the entry with the highest rank, and the highest one of any other
// owner than that entry's.
type rivals[T any] struct{ first, second rival[T] }

type rival[T any] struct {
	known bool
	owner string
	rank  int64
	entry T
}

func (r *rivals[T]) note(owner string, rank int64, entry T) {
	n := rival[T]{true, owner, rank, entry}
	switch {
	case !r.first.known || rank > r.first.rank:
		if r.first.owner != owner {
			r.second = r.first
		}
		r.first = n
	case owner != r.first.owner && (!r.second.known || rank > r.second.rank):
		r.second = n
	}
}

// against returns the highest entry of any other owner than the given one.
func (r *rivals[T]) against(owner string) (T, bool) {
	if r.first.owner != owner {
		return r.first.entry, r.first.known
	}
	return r.second.entry, r.second.known
}
