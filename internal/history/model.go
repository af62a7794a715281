package history

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// An event is something that took effect at one moment between call and ret, if the
// lock did what it promises.
type event struct {
	kind      kind
	owner     string
	call, ret int64
	hold      int64
	holds     int
	// loose says that the number of holds may be another one than that of the model.
	loose bool
	// spare is how many more there may be than the model knows of.
	spare int
	// excused says that the lock may have been in hands that no record tells of.
	excused bool
	// spanned says that the owner was inside from call to ret.
	spanned bool
}

type kind int

const (
	acquired kind = iota // a hold began
	ended                // a hold ended, whoever ended it
	refused              // an attempt did not get the lock
	unheld               // an Unlock without a hold was refused
	counted              // HoldCount
	taken                // IsLocked: yes
	free                 // IsLocked: no
	wrong                // what cannot be
)

// A state is that of the lock: an owner, and its holds. It is a value.
type state struct {
	owner string
	holds []int64
}

// step returns the state after the event, and whether it can take effect in this one.
func (s state) step(e *event) (bool, state) {
	ours := s.owner == e.owner
	held := s.owner != ""
	switch e.kind {
	case acquired:
		if held && !ours {
			return false, s
		}
		return true, state{e.owner, append(slices.Clip(s.holds), e.hold)}
	case ended:
		i := slices.Index(s.holds, e.hold)
		if i < 0 {
			return false, s
		}
		if len(s.holds) == 1 {
			return true, state{}
		}
		return true, state{s.owner, slices.Delete(slices.Clone(s.holds), i, i+1)}
	case refused:
		return (held || e.excused) && (!ours || !e.spanned), s
	case unheld:
		return !ours || !e.spanned, s
	case counted:
		return s.counts(e), s
	case taken:
		return held || e.excused, s
	case free:
		return !held, s
	default:
		return false, s
	}
}

func (s state) counts(e *event) bool {
	switch {
	case s.owner == "" && e.excused: // perhaps in the owner's own hands, unknown to it
		return true
	case s.owner != e.owner:
		return e.holds == 0
	case e.loose:
		return e.holds > 0
	default:
		return len(s.holds) <= e.holds && e.holds <= len(s.holds)+e.spare
	}
}

// modelFrom returns the model of a lock that begins in the given state.
func modelFrom(begin state) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return begin },
		Step: func(at, input, _ any) (bool, any) {
			s, e := at.(state), input.(*event) //nolint:forcetypeassert,errcheck // they come from here
			ok, next := s.step(e)
			return ok, next
		},
		Equal: func(a, b any) bool {
			s, t := a.(state), b.(state) //nolint:forcetypeassert,errcheck // they come from here
			return s.owner == t.owner && sameHolds(s.holds, t.holds)
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprint(input) },
		DescribeState:     func(at any) string { return fmt.Sprint(at) },
	}
}

// sameHolds reports whether two lists hold the same numbers, in whatever order.
func sameHolds(a, b []int64) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(id int64) bool { return !slices.Contains(b, id) })
}

// String returns the event in words.
func (e *event) String() string {
	words := [...]string{"acquires", "ends", "is refused", "holds nothing", "counts", "sees it taken", "sees it free", "cannot be"}
	text := e.owner + " " + words[e.kind]
	if e.hold != 0 {
		text += fmt.Sprintf(" hold %d", e.hold)
	}
	if e.kind == counted {
		text += fmt.Sprintf(" %d", e.holds)
	}
	end := "…"
	if e.ret != forever {
		end = fmt.Sprint(e.ret)
	}
	return fmt.Sprintf("%s [%d %s]", text, e.call, end)
}

// String returns the state in words.
func (s state) String() string {
	if s.owner == "" {
		return "free"
	}
	return s.owner + " with " + strings.Trim(fmt.Sprint(s.holds), "[]")
}
