package history

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	// least is the number of events that are worth a segment of their own.
	least = 100
	// patience bounds the check of one segment. Most take less than a millisecond.
	patience = 30 * time.Second
)

// Check is the whole check: it returns an error for every lock whose records no order
// of events explains, and for every one of which it could not find out in time.
func Check(records []Record) error {
	stories := tell(records)
	errs := make([]error, len(stories))
	var wg sync.WaitGroup
	for i, s := range stories {
		wg.Go(func() { errs[i] = s.check(least) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (s *story) check(least int) error {
	events := s.events()
	s.narrow(events)
	var begin state
	for segment := range segments(events, least) {
		if err := explain(begin, segment); err != nil {
			return fmt.Errorf("lock %s: %w", s.name, err)
		}
		begin = after(begin, segment)
	}
	return nil
}

// segments sorts events and cuts them into segments of at least the given size, where
// every earlier one has taken effect before every later one.
func segments(events []*event, least int) func(yield func([]*event) bool) {
	return func(yield func([]*event) bool) {
		slices.SortStableFunc(events, func(a, b *event) int { return cmp.Compare(a.call, b.call) })
		var from int
		var latest int64
		for i, e := range events {
			if i-from >= least && e.call > latest {
				if !yield(events[from:i]) {
					return
				}
				from = i
			}
			latest = max(latest, e.ret)
		}
		yield(events[from:])
	}
}

// after returns the state after all events of a segment, which the model allows in some
// order: what was acquired and has not ended.
func after(begin state, segment []*event) state {
	holds := slices.Clone(begin.holds)
	owner := begin.owner
	for _, e := range segment {
		if e.kind == acquired {
			holds = append(holds, e.hold)
		}
	}
	for _, e := range segment {
		if e.kind == ended {
			holds = slices.DeleteFunc(holds, func(id int64) bool { return id == e.hold })
		}
	}
	if len(holds) == 0 {
		return state{}
	}
	for _, e := range segment {
		if e.kind == acquired && e.hold == holds[0] {
			owner = e.owner
		}
	}
	return state{owner, holds}
}

// explain looks for an order of the segment's events that the model allows.
func explain(begin state, segment []*event) error {
	operations := make([]porcupine.Operation, len(segment))
	for i, e := range segment {
		operations[i] = porcupine.Operation{Input: e, Call: e.call, Return: e.ret}
	}
	model := modelFrom(begin)
	switch porcupine.CheckOperationsTimeout(model, operations, patience) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no order of %d events was found within %v, and none excluded", len(segment), patience)
	default:
		_, info := porcupine.CheckOperationsVerbose(model, operations, patience)
		return stuck(begin, segment, info)
	}
}

// stuck returns an error that says how far the longest order goes that the model allows.
func stuck(begin state, segment []*event, info porcupine.LinearizationInfo) error {
	var longest []porcupine.Operation
	for _, partial := range info.PartialLinearizationsOperations()[0] {
		if len(partial) > len(longest) {
			longest = partial
		}
	}
	at := begin
	rest := slices.Clone(segment)
	for _, operation := range longest {
		e := operation.Input.(*event) //nolint:forcetypeassert,errcheck // explain put it there
		_, at = at.step(e)
		rest = slices.DeleteFunc(rest, func(other *event) bool { return other == e })
	}
	const shown = 12
	var lines strings.Builder
	for _, e := range rest[:min(shown, len(rest))] {
		fmt.Fprintf(&lines, "\n\t%v", e)
	}
	return fmt.Errorf("no order explains its records: %d of %d events fit, then it is %v, and next come%s", len(longest), len(segment), at, &lines)
}
