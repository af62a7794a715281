package history

import (
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// What is narrowed and cut is judged as what is not.
func TestNarrowedHistoryIsJudgedAsTheWholeOne(t *testing.T) {
	t.Parallel()
	verdicts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		records := drawRecords(t)
		s := tell(records)[0]
		var operations []porcupine.Operation
		for _, e := range s.events() {
			operations = append(operations, porcupine.Operation{Input: e, Call: e.call, Return: e.ret})
		}
		whole := porcupine.CheckOperations(modelFrom(state{}), operations)
		verdicts[whole]++
		require.Equal(t, whole, s.check(1) == nil, "%+v", records)
	})
	t.Logf("linearizable or not: %v", verdicts)
	require.NotZero(t, verdicts[true])
	require.NotZero(t, verdicts[false])
}

// drawRecords draws a few records of one lock that may or may not make sense.
func drawRecords(t *rapid.T) (records []Record) {
	later := func(than int64) int64 { return than + rapid.Int64Range(0, 12).Draw(t, "later") }
	next := int64(1)
	for id := range rapid.Int64Range(1, 7).Draw(t, "records") {
		r := Record{Name: "l", Owner: rapid.SampledFrom([]string{"1/0", "1/1", "2/0"}).Draw(t, "owner")}
		next = max(1, next+rapid.Int64Range(-6, 12).Draw(t, "pace"))
		r.Call = next
		r.Return = later(r.Call)
		switch rapid.IntRange(0, 7).Draw(t, "kind") {
		case 0:
			r.Op, r.Result = Acquire, Refused
		case 1:
			r.Op, r.Result, r.Holds = Count, Counted, rapid.IntRange(0, 2).Draw(t, "holds")
		case 2:
			r.Op, r.Result = Ask, rapid.SampledFrom([]Result{Taken, Free}).Draw(t, "answer")
		case 3:
			r.Op, r.Result, r.Bounded = Acquire, Cancelled, true
		default:
			r.Op, r.Result, r.Hold = Acquire, Locked, id+1
			end := Record{Name: r.Name, Owner: r.Owner, Op: Release, Hold: r.Hold}
			end.Call = later(r.Return)
			end.Return = later(end.Call)
			end.Result = rapid.SampledFrom([]Result{Released, Released, Lost, Fault}).Draw(t, "end")
			if seen := rapid.Int64Range(r.Return-1, end.Call).Draw(t, "seen"); seen >= r.Return {
				end.Seen = seen
			}
			next = end.Call
			records = append(records, end)
		}
		records = append(records, r)
	}
	if rapid.Bool().Draw(t, "disturbed") {
		records = append(records, Record{Op: Disturb, Note: "cut", Call: 20, Return: 20})
	}
	return records
}
