package lua_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// grants returns the channel on which an owner's client hears of grants.
func grants(owner string) string {
	client, _, _ := strings.Cut(owner, ":")
	return "rlock_grant:" + tail + ":" + client
}

// passing is how the tables pass a lock on: as after a few hand-overs, with nobody to be
// told when to look.
func passing() lua.Passing {
	return lua.Passing{Key: key, Queue: queue, Tail: tail, Owner: me, Run: 3, Most: 7}
}

// pass passes the lock on in another way if that is given.
func pass(change ...func(*lua.Passing)) func(context.Context, world) (any, error) {
	p := passing()
	for _, c := range change {
		c(&p)
	}
	return func(ctx context.Context, w world) (any, error) { return lua.Pass(ctx, w, p) }
}

func beside(p *lua.Passing)  { p.Neighbour, p.Lease = neighbour, 30*time.Second }
func leaving(p *lua.Passing) { p.Stale = earlier }
func ahead(p *lua.Passing)   { p.Ahead = true }
func shorter(p *lua.Passing) { p.Shorter = true }
func closing(p *lua.Passing) { p.Stale = lua.AllStale }

// lining is beside with a ticket for the end of the queue.
func lining(p *lua.Passing) {
	beside(p)
	p.Ticket = next
}

// next is the neighbour's ticket.
const next = neighbour + " 8 30000"

var (
	toNobody    = lua.Passed{Released: done, Successor: lua.Nobody}
	toNeighbour = lua.Passed{Released: done, Successor: lua.Neighbour}
	hadBefore   = lua.Passed{Released: lua.Released{Status: lua.Done, Before: true}, Successor: lua.Neighbour}
	notPassed   = lua.Passed{Released: free}
)

func toStranger(first time.Duration) lua.Passed {
	return lua.Passed{Released: done, Successor: lua.Stranger, First: first, Time: clock}
}

// passedBefore is the answer to a second release: somebody else has the lock.
func passedBefore(ttl time.Duration) lua.Passed { return lua.Passed{Released: notOwner(ttl)} }

func TestPassWithoutTicketsFreesTheLockOrGivesItToTheNeighbour(t *testing.T) {
	const s = time.Second
	one := hash(20*s, me, "1")
	given := hash(30*s, neighbour, "1")
	check(t, []row{
		{name: "Public", before: one, run: pass(), reply: toNobody, after: nothing, says: []string{freed}, again: notPassed},
		{name: "PublicManyHolds", before: hash(20*s, me, "9"), run: pass(), reply: toNobody, after: nothing, says: []string{freed}, again: notPassed},
		{name: "PublicWithoutExpiry", before: hash(eternal, me, "1"), run: pass(), reply: toNobody, after: nothing, says: []string{freed}, again: notPassed},
		{name: "PublicQueueIsNoList", before: one, tickets: text(40 * s), run: pass(leaving), reply: toNobody, after: nothing, queued: text(40 * s), says: []string{freed}, again: notPassed},
		{name: "Neighbour", before: one, run: pass(beside), reply: toNeighbour, after: given, again: hadBefore},
		{
			name: "NeighbourAheadOfTheQueue", before: one, tickets: list(40*s, yours), attend: []string{grants(you)}, run: pass(beside, ahead),
			reply: toNeighbour, after: given, queued: list(40*s, yours), again: hadBefore,
		},
		{
			name: "NobodyAheadOfTheQueue", before: one, tickets: list(40*s, yours), attend: []string{grants(you)}, run: pass(ahead),
			reply: toStranger(3 * s), after: hash(3*s, you, "1"), says: []string{grant(you, 3*s, 4, 0)}, again: passedBefore(3 * s),
		},
		{
			name: "NeighbourNotAheadOfStrangers", before: one, tickets: list(40*s, yours), attend: []string{channel, grants(you)}, run: pass(beside, ahead, bound),
			reply: toNobody, after: nothing, queued: list(40*s, yours), says: []string{beacon + " public", freed}, again: notPassed,
		},
		{name: "NeighbourManyHolds", before: hash(20*s, me, "9"), run: pass(beside), reply: toNeighbour, after: given, again: hadBefore},
		{name: "NeighbourShorterLease", before: hash(120*s, me, "1"), run: pass(beside), reply: toNeighbour, after: given, again: hadBefore},
		{
			name: "NeighbourShorterLeaseIsTold", before: hash(120*s, me, "1"), attend: []string{channel, beacon}, run: pass(beside, shorter),
			reply: toNeighbour, after: given, says: []string{beacon + " look 30000"}, again: hadBefore,
		},
		{
			name: "NeighbourAheadShorterLeaseIsTold", before: hash(120*s, me, "1"), tickets: list(40*s, yours), attend: []string{channel, channel, beacon}, run: pass(beside, ahead, shorter),
			reply: toNeighbour, after: given, queued: list(40*s, yours), says: []string{beacon + " look 30000", freed}, again: hadBefore,
		},
		{name: "NeighbourLongerLeaseIsNoNews", before: one, run: pass(beside, shorter), reply: toNeighbour, after: given, again: hadBefore},
		{name: "NeighbourWithoutExpiry", before: hash(eternal, me, "1"), run: pass(beside), reply: toNeighbour, after: given, again: hadBefore},
		{name: "NeighbourNeedsNoTicket", before: one, run: pass(lining), reply: toNeighbour, after: given, again: hadBefore},
		{name: "NeighbourQueueIsNoList", before: one, tickets: text(40 * s), run: pass(lining, leaving), reply: toNeighbour, after: given, queued: text(40 * s), again: hadBefore},
		{name: "NeighbourHadAFieldToo", before: hash(20*s, me, "1", neighbour, "3"), run: pass(beside), reply: toNeighbour, after: given, again: hadBefore},
	})
}

func TestPassLeavesAlone(t *testing.T) {
	const s = time.Second
	kept := list(40*s, earlier, yours)
	var rows []row
	for _, r := range []struct {
		name   string
		before content
		reply  lua.Passed
	}{
		{"FreeLock", nothing, notPassed},
		{"HeldByAnother", hash(20*s, you, "2"), passedBefore(20 * s)},
		{"HeldByAnotherForEver", hash(eternal, you, "1"), passedBefore(lua.Forever)},
		{"OwnReadWriteLock", hash(20*s, me, "1", you, "1", "mode", "read"), lua.Passed{Released: other}},
		{"OwnWriteLock", hash(20*s, me, "1", "mode", "write"), lua.Passed{Released: other}},
		{"ReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "read"), passedBefore(20 * s)},
		{"ReadWriteLockOfTheNeighbour", hash(20*s, neighbour, "1", "mode", "read"), passedBefore(20 * s)},
	} {
		for name, run := range map[string]func(context.Context, world) (any, error){
			"": pass(leaving), "BesideSomebody": pass(lining, leaving), "AtTheBound": pass(lining, leaving, bound),
		} {
			rows = append(rows, row{
				name: r.name + name, before: r.before, tickets: kept, attend: []string{grants(you), channel}, run: run,
				reply: r.reply, after: r.before, queued: kept, again: r.reply,
			})
		}
	}
	rows = append(rows, row{
		name: "SomethingElse", before: text(20 * s), tickets: kept, attend: []string{grants(you)}, run: pass(lining, leaving),
		err: "WRONGTYPE", after: text(20 * s), queued: kept,
	}, row{
		name: "HeldByTheNeighbour", before: hash(30*s, neighbour, "2"), tickets: kept, attend: []string{grants(you)}, run: pass(lining, leaving),
		reply: hadBefore, after: hash(30*s, neighbour, "2"), queued: kept, again: hadBefore,
	})
	check(t, rows)
}

func TestPassTakesTheStaleTicketOutOfTheQueue(t *testing.T) {
	const s = time.Second
	one := hash(20*s, me, "1")
	stranger, told := hash(3*s, you, "1"), grant(you, 3*s, 4, 0)
	listening := []string{grants(you), grants(me)}
	check(t, []row{
		{
			name: "Public", before: one, tickets: list(40*s, earlier), run: pass(leaving),
			reply: toNobody, after: nothing, says: []string{freed}, again: notPassed,
		},
		{
			name: "Neighbour", before: one, tickets: list(40*s, earlier), run: pass(beside, leaving),
			reply: toNeighbour, after: hash(30*s, neighbour, "1"), again: hadBefore,
		},
		{
			name: "Stranger", before: one, tickets: list(40*s, yours, earlier, theirs), attend: listening, run: pass(leaving),
			reply: toStranger(3 * s), after: stranger, queued: list(40*s, theirs), says: []string{told}, again: passedBefore(3 * s),
		},
		{
			name: "StrangerBehindIt", before: one, tickets: list(40*s, earlier, yours, theirs), attend: listening, run: pass(leaving),
			reply: toStranger(3 * s), after: stranger, queued: list(40*s, theirs), says: []string{told}, again: passedBefore(3 * s),
		},
		{
			name: "OnlyTheFirst", before: one, tickets: list(40*s, yours, earlier, theirs, earlier), attend: listening, run: pass(leaving),
			reply: toStranger(3 * s), after: stranger, queued: list(40*s, theirs, earlier), says: []string{told}, again: passedBefore(3 * s),
		},
		{
			name: "AtTheBound", before: one, tickets: list(40*s, yours, earlier, theirs), attend: []string{grants(you), channel}, run: pass(leaving, bound),
			reply: toNobody, after: nothing, queued: list(40*s, yours, theirs), says: []string{beacon + " public", freed}, again: notPassed,
		},
	})
}
