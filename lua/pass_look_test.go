package lua_test

import (
	"testing"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// behind says how many tickets may belong to clients that expect a longer lease.
func behind(n int) func(*lua.Passing) { return func(p *lua.Passing) { p.Behind = n } }

// Who waits behind a grant that nobody confirms, and whose granter dies, has to look when
// the first lease ends, not when the lease ends that it knows of.
func TestPassTellsTheTicketBehindWhenToLook(t *testing.T) {
	const s = time.Second
	served := func(name string, tickets, queued content, messages []string, run ...func(*lua.Passing)) row {
		return row{
			name: name, before: hash(20*s, me, "1"), tickets: tickets, attend: []string{grants(you)}, run: pass(run...),
			reply: toStranger(3 * s), after: hash(3*s, you, "1"), queued: queued, says: messages, again: passedBefore(3 * s),
		}
	}
	const last = "88888888-2222-3333-4444-555555555555:1 2 30000"
	three, two := list(40*s, yours, theirs, last), list(40*s, theirs, last)
	told := func(n int) []string { return []string{grant(you, 3*s, 4, n), look(theirs, 3*s)} }
	quiet := func(n int) []string { return []string{grant(you, 3*s, 4, n)} }
	check(t, []row{
		served("AllExpectMore", three, two, told(2), behind(-1)),
		served("AllThereAreNone", list(40*s, yours), nothing, quiet(0), behind(-1)),
		served("AllWithTheNeighbours", three, list(40*s, theirs, last, next), told(3), behind(-1), lining),
		served("OnlyTheNeighbours", list(40*s, yours), list(90*s, next), []string{grant(you, 3*s, 4, 1), look(next, 3*s)}, behind(-1), lining),
		served("AllAfterDeadOnes", list(40*s, append(dead(3), yours, theirs, last)...), two, told(2), behind(-1)),
		served("Three", three, two, told(2), behind(3)),
		served("Two", three, two, told(1), behind(2)),
		served("One", three, two, quiet(0), behind(1)),
		served("None", three, two, quiet(0), behind(0)),
		served("MoreThanThereAre", list(40*s, yours, theirs), list(40*s, theirs), told(4), behind(5)),
		served("MoreThanThereAreAndNobodyIsLeft", list(40*s, yours), nothing, quiet(4), behind(5)),
		served("BehindTheNeighboursNot", three, list(40*s, theirs, last, next), told(1), behind(2), lining),
		served("TheNextIsMalformed", list(40*s, yours, "garbage", theirs), list(40*s, "garbage", theirs), quiet(2), behind(-1)),
	})
}
