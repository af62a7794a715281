package lua_test

import (
	"testing"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// inheriting passes on what nobody gives away: a lock whose lease has ended.
func inheriting(p *lua.Passing) { p.Owner, p.Run, p.Behind = "", 0, -1 }

func TestInheritanceServesTheQueueOfALockWhoseLeaseHasEnded(t *testing.T) {
	const s = time.Second
	served := row{
		name: "Stranger", before: nothing, tickets: list(40*s, yours, theirs), attend: []string{grants(you)}, run: pass(inheriting),
		reply: toStranger(3 * s), after: hash(3*s, you, "1"), queued: list(40*s, theirs),
		says: []string{grant(you, 3*s, 1, 1), look(theirs, 3*s)}, again: passedBefore(3 * s),
	}
	behindDead := served
	behindDead.name, behindDead.tickets = "StrangerBehindDeadOnes", list(40*s, append(dead(15), yours, theirs)...)
	stale := served
	stale.name, stale.tickets, stale.run = "StrangerBehindAStaleOne", list(40*s, earlier, yours, theirs), pass(inheriting, leaving)
	check(t, []row{
		served, behindDead, stale,
		{
			name: "OwnProcess", before: nothing, tickets: list(40*s, mine, yours), attend: []string{grants(me), grants(you)}, run: pass(inheriting),
			reply: toStranger(3 * s), after: hash(3*s, me, "1"), queued: list(40*s, yours),
			says: []string{grant(me, 3*s, 1, 1), look(yours, 3*s)}, again: passedBefore(3 * s),
		},
		{
			name: "Neighbour", before: nothing, tickets: list(40*s, dead(2)...), run: pass(inheriting, beside),
			reply: toNeighbour, after: hash(30*s, neighbour, "1"), again: passedBefore(30 * s),
		},
	})
}

// Those who do not know about tickets, and those whose tickets lie behind more dead ones
// than one script skips, may wait for the end of a lease that was longer.
func TestInheritanceWithoutAnHeirIsPublished(t *testing.T) {
	const s = time.Second
	twice := []string{freed, freed}
	check(t, []row{
		{name: "NoTickets", before: nothing, run: pass(inheriting), reply: toNobody, after: nothing, says: twice, again: toNobody},
		{
			name: "DeadTickets", before: nothing, tickets: list(40*s, dead(3)...), run: pass(inheriting),
			reply: toNobody, after: nothing, says: twice, again: toNobody,
		},
		{
			name: "MoreDeadTicketsThanFit", before: nothing, tickets: list(40*s, append(dead(32), yours)...), attend: []string{grants(you)}, run: pass(inheriting),
			reply: toNobody, after: nothing, queued: list(40*s, append(dead(32), yours)[16:]...), says: twice, again: toNobody, twice: list(40*s, yours),
		},
		{
			name: "QueueIsNoList", before: nothing, tickets: text(40 * s), run: pass(inheriting),
			reply: toNobody, after: nothing, queued: text(40 * s), says: twice, again: toNobody,
		},
	})
}

func TestInheritanceLeavesALockAloneThatSomebodyHas(t *testing.T) {
	const s = time.Second
	kept := list(40*s, earlier, yours)
	var rows []row
	for name, r := range map[string]struct {
		before content
		ttl    time.Duration
	}{
		"HeldByAnother":     {hash(20*s, you, "1"), 20 * s},
		"HeldByThisProcess": {hash(20*s, me, "1"), 20 * s},
		"WithoutExpiry":     {hash(eternal, you, "1"), lua.Forever},
		"ReadWriteLock":     {hash(20*s, you, "1", "mode", "read"), 20 * s},
		"SomethingElse":     {text(20 * s), 20 * s},
	} {
		rows = append(rows, row{
			name: name, before: r.before, tickets: kept, attend: []string{grants(you)}, run: pass(inheriting, lining, leaving),
			reply: passedBefore(r.ttl), after: r.before, queued: kept, again: passedBefore(r.ttl),
		})
	}
	check(t, rows)
}
