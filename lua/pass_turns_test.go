package lua_test

import (
	"testing"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// bound is the last turn before one for those who do not know about tickets.
func bound(p *lua.Passing) { p.Run = p.Most }

func beyond(p *lua.Passing)  { p.Run = p.Most + 5 }
func oneLeft(p *lua.Passing) { p.Run = p.Most - 1 }

func TestPassLetsForeignWaitersHaveTheirTurn(t *testing.T) {
	const s = time.Second
	one := hash(20*s, me, "1")
	public := []string{beacon + " public", freed}
	foreign := []string{grants(you), channel, channel, beacon}
	check(t, []row{
		{
			name: "AtTheBound", before: one, tickets: list(40*s, yours, theirs), attend: foreign, run: pass(bound),
			reply: toNobody, after: nothing, queued: list(40*s, yours, theirs), says: public, again: notPassed,
		},
		{
			name: "BeyondTheBound", before: one, tickets: list(40*s, yours), attend: foreign, run: pass(beyond),
			reply: toNobody, after: nothing, queued: list(40*s, yours), says: public, again: notPassed,
		},
		{
			name: "NobodyKnowsTheQueue", before: one, tickets: list(40*s, yours), attend: []string{grants(you), channel}, run: pass(bound),
			reply: toNobody, after: nothing, queued: list(40*s, yours), says: public, again: notPassed,
		},
		{
			name: "WithoutTickets", before: one, attend: foreign, run: pass(bound),
			reply: toNobody, after: nothing, says: public, again: notPassed,
		},
		{
			name: "NeighbourLinesUpAtTheEnd", before: one, tickets: list(40*s, yours, theirs), attend: foreign, run: pass(lining, bound),
			reply: toNobody, after: nothing, queued: list(40*s, yours, theirs, next), says: public, again: notPassed,
		},
		{
			name: "NeighbourLinesUpAlone", before: one, attend: foreign, run: pass(lining, bound),
			reply: toNobody, after: nothing, queued: list(90*s, next), says: public, again: notPassed,
		},
		{
			name: "NeighbourWithoutATicket", before: one, tickets: list(40*s, yours), attend: foreign, run: pass(beside, bound),
			reply: toNobody, after: nothing, queued: list(40*s, yours), says: public, again: notPassed,
		},
		{
			name: "QueueIsNoList", before: one, tickets: text(40 * s), attend: foreign, run: pass(lining, bound),
			reply: toNobody, after: nothing, queued: text(40 * s), says: public, again: notPassed,
		},
		{
			name: "BeforeTheBound", before: one, tickets: list(40*s, yours), attend: foreign, run: pass(oneLeft),
			reply: toStranger(3 * s), after: hash(3*s, you, "1"), says: []string{grant(you, 3*s, 7, 0)}, again: passedBefore(3 * s),
		},
		{
			name: "NeighbourBeforeTheBound", before: one, attend: foreign, run: pass(lining, oneLeft),
			reply: toNeighbour, after: hash(30*s, neighbour, "1"), again: hadBefore,
		},
	})
}

// Those who listen on the beacon know about tickets, and those who listen by a pattern
// (the ear of the tables does) wait for nothing.
func TestPassCountsAnewWhenNoForeignerWaits(t *testing.T) {
	const s = time.Second
	one := hash(20*s, me, "1")
	for name, attend := range map[string][]string{
		"Nobody":         {grants(you)},
		"Insiders":       {grants(you), channel, channel, beacon, beacon},
		"InsiderLeaving": {grants(you), channel, beacon, beacon},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, []row{
				{
					name: "Stranger", before: one, tickets: list(70*s, yours), attend: attend, run: pass(lining, bound),
					reply: toStranger(3 * s), after: hash(3*s, you, "1"), queued: list(90*s, next),
					says: []string{grant(you, 3*s, 1, 0)}, again: passedBefore(3 * s),
				},
				{
					name: "StrangerBeyondTheBound", before: one, tickets: list(70*s, yours), attend: attend, run: pass(beyond),
					reply: toStranger(3 * s), after: hash(3*s, you, "1"),
					says: []string{grant(you, 3*s, 1, 0)}, again: passedBefore(3 * s),
				},
				{
					name: "Neighbour", before: one, attend: attend, run: pass(lining, bound),
					reply: toNeighbour, after: hash(30*s, neighbour, "1"), again: hadBefore,
				},
				{
					name: "Public", before: one, attend: attend, run: pass(bound),
					reply: toNobody, after: nothing, says: []string{freed}, again: notPassed,
				},
			})
		})
	}
}
