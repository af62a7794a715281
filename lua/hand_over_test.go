package lua_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

// neighbour is another owner of the process that me belongs to.
const neighbour = "11111111-2222-3333-4444-555555555555:58"

func handOver(ctx context.Context, w world) (any, error) {
	return lua.HandOver(ctx, w, key, me, neighbour, 30*time.Second, lua.Told{})
}

func handOverAndTell(ctx context.Context, w world) (any, error) {
	return lua.HandOver(ctx, w, key, me, neighbour, 30*time.Second, everybody)
}

func withdraw(ctx context.Context, w world) (any, error) {
	return lua.Withdraw(ctx, w, key, queue, me, mine)
}

// handedBefore is the answer to a second copy.
var handedBefore = lua.Released{Status: lua.Done, Before: true}

func TestHandOverReplacesTheOwnerAndSaysNothing(t *testing.T) {
	const s = time.Second
	handed := hash(30*s, neighbour, "1")
	unchanged := func(name string, before content, reply lua.Released) row {
		return row{name: name, before: before, run: handOver, reply: reply, after: before, again: reply}
	}
	check(t, []row{
		{name: "OneHold", before: hash(20*s, me, "1"), run: handOver, reply: done, after: handed, again: handedBefore},
		{name: "ManyHolds", before: hash(20*s, me, "9"), run: handOver, reply: done, after: handed, again: handedBefore},
		{name: "ShorterLease", before: hash(120*s, me, "1"), run: handOver, reply: done, after: handed, again: handedBefore},
		{name: "WithoutExpiry", before: hash(eternal, me, "1"), run: handOver, reply: done, after: handed, again: handedBefore},
		{
			name: "BothOwners", before: hash(20*s, me, "1", neighbour, "4"), run: handOver,
			reply: done, after: handed, again: handedBefore,
		},
		{
			name: "NoTicketIsServed", before: hash(20*s, me, "1"), tickets: list(40*s, yours), attend: []string{grants(you)}, run: handOver,
			reply: done, after: handed, queued: list(40*s, yours), again: handedBefore,
		},
		{
			name: "ShorterLeaseIsTold", before: hash(120*s, me, "1"), attend: []string{channel, beacon}, run: handOverAndTell,
			reply: done, after: handed, says: []string{beacon + " look 30000"}, again: handedBefore,
		},
		{
			name: "ShorterLeaseIsToldToStrangers", before: hash(eternal, me, "1"), attend: []string{channel, channel, beacon}, run: handOverAndTell,
			reply: done, after: handed, says: []string{beacon + " look 30000", freed}, again: handedBefore,
		},
		{name: "LongerLeaseIsNoNews", before: hash(20*s, me, "1"), run: handOverAndTell, reply: done, after: handed, again: handedBefore},
		unchanged("HandedOverBefore", hash(30*s, neighbour, "2"), handedBefore),
		{ // trust counts from the copy that was answered
			name: "HandedOverAWhileAgo", before: hash(20*s, neighbour, "2"), tickets: list(40*s, yours), run: handOver,
			reply: handedBefore, after: hash(30*s, neighbour, "2"), queued: list(40*s, yours), again: handedBefore,
		},
		unchanged("FreeLock", nothing, free),
		unchanged("HeldByAnother", hash(20*s, you, "2"), notOwner(20*s)),
		unchanged("HeldByAnotherForEver", hash(eternal, you, "2"), notOwner(lua.Forever)),
		unchanged("OwnReadWriteLock", hash(20*s, me, "1", you, "1", "mode", "read"), other),
		unchanged("OwnReadWriteLockOfBoth", hash(20*s, me, "1", neighbour, "1", "mode", "read"), other),
		unchanged("ReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "read"), notOwner(20*s)),
		unchanged("ReadWriteLockOfTheNext", hash(20*s, neighbour, "1", "mode", "read"), notOwner(20*s)),
		{name: "SomethingElse", before: text(20 * s), run: handOver, err: "WRONGTYPE", after: text(20 * s)},
	})
}

// It may know of a longer lease only, which the holder before had.
func TestWithdrawTellsTheTicketBehindWhenTheLeaseEnds(t *testing.T) {
	const s = time.Second
	held := hash(20*s, you, "1")
	for _, r := range []row{
		{name: "OneTicket", tickets: list(40*s, mine, yours, theirs), queued: list(40*s, yours, theirs)},
		{name: "TicketThatIsThereTwice", tickets: list(40*s, mine, yours, mine), queued: list(40*s, yours, mine), twice: list(40*s, yours)},
	} {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // its answer is of the millisecond
				_, client := bubble.New(t)
				r.before, r.after, r.run, r.reply, r.again = held, held, withdraw, false, false
				r.says = []string{look(yours, 20*s)}
				r.compare(t, r.play(t, world{client()}))
			})
		})
	}
}

func TestWithdrawTakesOneTicketAndTellsWhetherItWasServed(t *testing.T) {
	const s = time.Second
	held, served := hash(20*s, you, "1"), hash(3*s, me, "1")
	check(t, []row{
		{
			name: "NotServed", before: held, tickets: list(40*s, yours, mine, theirs), run: withdraw,
			reply: false, after: held, queued: list(40*s, yours, theirs), again: false,
		},
		{
			name: "OnlyTicket", before: held, tickets: list(40*s, mine), run: withdraw,
			reply: false, after: held, queued: nothing, again: false,
		},
		{
			name: "OtherTicketsOfTheOwnerStay", before: held, tickets: list(40*s, earlier, mine+"0", mine), run: withdraw,
			reply: false, after: held, queued: list(40*s, earlier, mine+"0"), again: false,
		},
		{
			name: "Served", before: served, tickets: list(40*s, yours), run: withdraw,
			reply: true, after: served, queued: list(40*s, yours), again: true,
		},
		{
			name: "ServedAndThereAgain", before: served, tickets: list(40*s, yours, mine), run: withdraw,
			reply: true, after: served, queued: list(40*s, yours), again: true,
		},
		{name: "ServedAndCountIsNoNumber", before: hash(20*s, me, "many"), run: withdraw, reply: true, after: hash(20*s, me, "many"), again: true},
		{name: "NothingIsThere", before: nothing, run: withdraw, reply: false, after: nothing, again: false},
		{name: "LockIsGone", before: nothing, tickets: list(40*s, mine), run: withdraw, reply: false, after: nothing, again: false},
		{
			name: "LockIsGoneAndSomebodyIsBehind", before: nothing, tickets: list(40*s, mine, yours, theirs), run: withdraw,
			reply: false, after: nothing, queued: list(40*s, yours, theirs), says: []string{look(yours, 0)}, again: false,
		},
		{
			name: "LockIsGoneAndSomebodyIsBeforeIt", before: nothing, tickets: list(40*s, yours, mine, theirs), run: withdraw,
			reply: false, after: nothing, queued: list(40*s, yours, theirs), again: false,
		},
		{
			name: "QueueIsNoList", before: served, tickets: text(40 * s), run: withdraw,
			err: "WRONGTYPE", after: served, queued: text(40 * s),
		},
		{
			name: "SomethingElse", before: text(20 * s), tickets: list(40*s, yours, mine), run: withdraw,
			err: "WRONGTYPE", after: text(20 * s), queued: list(40*s, yours),
		},
	})
}
