package lua_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

// The tickets of the tables.
const (
	mine    = me + " 7 30000"
	earlier = me + " 6 30000"
	yours   = you + " 7 30000"
	theirs  = "77777777-2222-3333-4444-555555555555:1 2 30000"
)

// enqueuing is how the tables ask for a lock.
func enqueuing() lua.Enqueuing {
	return lua.Enqueuing{Key: key, Queue: queue, Owner: me, Lease: 30 * time.Second, Ticket: mine}
}

// enqueue asks for the lock in another way if that is given.
func enqueue(change ...func(*lua.Enqueuing)) func(context.Context, world) (any, error) {
	e := enqueuing()
	for _, c := range change {
		c(&e)
	}
	return func(ctx context.Context, w world) (any, error) { return lua.Enqueue(ctx, w, e) }
}

func replacing(e *lua.Enqueuing) { e.Earlier = earlier }
func fresh(e *lua.Enqueuing)     { e.Fresh = true }
func clocked(e *lua.Enqueuing)   { e.Clock = true }

func gotNow(found int) lua.Enqueued { return lua.Enqueued{Acquired: got(found)} }

func waits(ttl time.Duration) lua.Enqueued {
	return lua.Enqueued{Acquired: notGot(lua.NotOwner, ttl)}
}

func TestEnqueueAcquiresAFreeLockOrTheOwnersOwn(t *testing.T) {
	const s = time.Second
	toldYou := []string{look(yours, 30*s)} // it may know of a longer lease only
	check(t, []row{
		{
			name: "FreeLock", before: nothing, run: enqueue(),
			reply: gotNow(0), after: hash(30*s, me, "1"), again: gotNow(1),
		},
		{
			name: "FreeLockWithTicketsOfOthers", before: nothing, tickets: list(40*s, yours, theirs), run: enqueue(),
			reply: gotNow(0), after: hash(30*s, me, "1"), queued: list(40*s, yours, theirs), says: toldYou, again: gotNow(1),
		},
		{
			name: "EarlierTicketLeaves", before: nothing, tickets: list(40*s, yours, earlier, theirs), run: enqueue(replacing),
			reply: gotNow(0), after: hash(30*s, me, "1"), queued: list(40*s, yours, theirs), says: toldYou, again: gotNow(1),
		},
		{
			name: "EarlierTicketLeavesOnce", before: nothing, tickets: list(40*s, earlier, yours, earlier), run: enqueue(replacing),
			reply: gotNow(0), after: hash(30*s, me, "1"), queued: list(40*s, yours, earlier), says: toldYou, again: gotNow(1), twice: list(40*s, yours),
		},
		{
			name: "EarlierTicketIsNotThere", before: nothing, tickets: list(40*s, yours), run: enqueue(replacing),
			reply: gotNow(0), after: hash(30*s, me, "1"), queued: list(40*s, yours), says: toldYou, again: gotNow(1),
		},
		{
			name: "NoTimeWhenAcquired", before: nothing, run: enqueue(clocked),
			reply: gotNow(0), after: hash(30*s, me, "1"), again: gotNow(1),
		},
		{
			name: "ServedMeanwhile", before: hash(3*s, me, "1"), run: enqueue(),
			reply: gotNow(1), after: hash(30*s, me, "1"), again: gotNow(1),
		},
		{
			name: "ServedMeanwhileForLonger", before: hash(120*s, me, "1"), run: enqueue(),
			reply: gotNow(1), after: hash(120*s, me, "1"), again: gotNow(1),
		},
		{
			name: "OwnLockWithoutExpiry", before: hash(eternal, me, "1"), run: enqueue(),
			reply: gotNow(1), after: hash(30*s, me, "1"), again: gotNow(1),
		},
		{
			name: "OwnManyHolds", before: hash(20*s, me, "4"), run: enqueue(),
			reply: gotNow(4), after: hash(30*s, me, "1"), again: gotNow(1),
		},
		{
			name: "OwnCountIsNoNumber", before: hash(20*s, me, "many"), run: enqueue(),
			reply: gotNow(0), after: hash(30*s, me, "1"), again: gotNow(1),
		},
		{
			name: "QueueIsNoList", before: nothing, tickets: text(40 * s), run: enqueue(replacing),
			reply: gotNow(0), after: hash(30*s, me, "1"), queued: text(40 * s), again: gotNow(1),
		},
	})
}

func TestEnqueueLeavesATicketWhereSomebodyElseHasTheLock(t *testing.T) {
	const s = time.Second
	// unchanged is a row in which the lock stays as it is.
	unchanged := func(name string, before, tickets content, run func(context.Context, world) (any, error), reply lua.Enqueued, queued, twice content) row {
		return row{
			name: name, before: before, tickets: tickets, run: run,
			reply: reply, after: before, queued: queued, again: reply, twice: twice,
		}
	}
	timed := waits(20 * s)
	timed.Time = clock
	held := hash(20*s, you, "1")
	check(t, []row{
		unchanged("FirstTicket", held, nothing, enqueue(), waits(20*s), list(80*s, mine), list(80*s, mine, mine)),
		unchanged("FirstTicketAndTheTime", held, nothing, enqueue(clocked), timed, list(80*s, mine), list(80*s, mine, mine)),
		unchanged("FirstTicketOfAFreshOwner", held, nothing, enqueue(fresh), waits(20*s), list(80*s, mine), list(80*s, mine, mine)),
		unchanged("FreshOwnerAndTheTime", held, nothing, enqueue(fresh, clocked), timed, list(80*s, mine), list(80*s, mine, mine)),
		unchanged("AtTheEnd", held, list(40*s, yours, theirs), enqueue(), waits(20*s),
			list(40*s, yours, theirs, mine), list(40*s, yours, theirs, mine, mine)),
		unchanged("InPlaceOfTheEarlier", held, list(40*s, yours, earlier, theirs), enqueue(replacing), waits(20*s),
			list(80*s, yours, mine, theirs), list(80*s, yours, mine, theirs, mine)),
		unchanged("InPlaceOfTheEarlierAtTheHead", held, list(40*s, earlier, theirs), enqueue(replacing, clocked), timed,
			list(80*s, mine, theirs), list(80*s, mine, theirs, mine)),
		unchanged("InPlaceOfTheFirstEarlier", held, list(40*s, earlier, theirs, earlier), enqueue(replacing), waits(20*s),
			list(80*s, mine, theirs, earlier), list(80*s, mine, theirs, mine)),
		unchanged("EarlierIsNotThere", held, list(40*s, yours), enqueue(replacing), waits(20*s),
			list(80*s, yours, mine), list(80*s, yours, mine, mine)),
		unchanged("EarlierIsNotThereNorAnything", held, nothing, enqueue(replacing), waits(20*s),
			list(80*s, mine), list(80*s, mine, mine)),
		unchanged("LongLease", hash(600*s, you, "3"), nothing, enqueue(), waits(600*s), list(660*s, mine), list(660*s, mine, mine)),
		unchanged("WithoutExpiry", hash(eternal, you, "1"), nothing, enqueue(), waits(lua.Forever), list(60*s, mine), list(60*s, mine, mine)),
		unchanged("OtherOwnerOfThisProcess", hash(20*s, neighbour, "1"), nothing, enqueue(), waits(20*s), list(80*s, mine), list(80*s, mine, mine)),
		unchanged("ReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "read"), nothing, enqueue(), waits(20*s), list(80*s, mine), list(80*s, mine, mine)),
		unchanged("QueueIsNoList", held, text(40*s), enqueue(), waits(20*s), text(40*s), content{}),
		unchanged("QueueIsNoListAndAnEarlierTicket", held, text(40*s), enqueue(replacing), waits(20*s), text(40*s), content{}),
		unchanged("QueueIsNoListForEver", held, text(eternal), enqueue(replacing), waits(20*s), text(eternal), content{}),
	})
}

func TestEnqueueRefusesWhatIsNoLockOfItsKind(t *testing.T) {
	const s = time.Second
	other := lua.Enqueued{Acquired: notGot(lua.OtherKind, 0)}
	kept := list(40*s, earlier, yours)
	rows := []row{
		{name: "SomethingElse", before: text(20 * s), tickets: kept, run: enqueue(replacing), err: "WRONGTYPE", after: text(20 * s), queued: kept},
		{name: "SomethingElseForEver", before: text(eternal), tickets: kept, run: enqueue(clocked), err: "WRONGTYPE", after: text(eternal), queued: kept},
	}
	for name, before := range map[string]content{
		"OwnReadWriteLock":           hash(20*s, me, "1", you, "1", "mode", "read"),
		"OwnWriteLockWithoutExpiry":  hash(eternal, me, "1", "mode", "write"),
		"OwnReadLockOfAnEmptyMode":   hash(20*s, me, "1", "mode", ""),
		"OwnReadLockWithoutANumbers": hash(20*s, me, "many", "mode", "read"),
	} {
		rows = append(rows, row{
			name: name, before: before, tickets: kept, run: enqueue(replacing, clocked),
			reply: other, after: before, queued: kept, again: other,
		})
	}
	check(t, rows)
}

// A late copy of the first attempt, which takes its owner for a stranger, must not
// disturb the lock that a later copy got.
func TestLateCopyOfAFreshAttemptOnlyLeavesATicket(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			e := enqueuing()
			e.Fresh = true
			first, err := lua.Enqueue(t.Context(), w, e)
			require.NoError(t, err)
			assert.Equal(t, gotNow(0), first)

			late, err := lua.Enqueue(t.Context(), w, e)
			require.NoError(t, err)
			assert.Equal(t, waits(30*time.Second), settled(late, waits(30*time.Second)))
			w.requireContent(t, key, hash(30*time.Second, me, "1"))
			w.requireContent(t, queue, list(90*time.Second, mine))
		})
	}
}

// A ticket lives as long as the lock and a minute more, whoever was there before.
func TestEveryAttemptToReplaceATicketKeepsTheQueueAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		w := world{client()}
		w.put(t, key, hash(30*time.Second, you, "1"))
		w.put(t, queue, list(time.Second, yours))
		e := enqueuing()
		for attempt := range uint64(40) { // ten minutes
			e.Earlier, e.Ticket = e.Ticket, lua.Ticket(me, attempt, e.Lease)
			w.do(t, "PEXPIRE", key, "30000")
			waiting, err := lua.Enqueue(t.Context(), w, e)
			require.NoError(t, err)
			require.Equal(t, waits(30*time.Second), waiting)
			require.Equal(t, list(90*time.Second, yours, e.Ticket), w.get(t, queue))
			time.Sleep(15 * time.Second)
		}
		time.Sleep(75 * time.Second)
		require.Equal(t, nothing, w.get(t, queue))
	})
}

func TestTicketLivesAMinuteLongerThanTheLockOrThanALockThatNeverExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		w := world{client()}
		for ttl, want := range map[time.Duration]time.Duration{
			eternal: time.Minute, time.Millisecond: time.Minute + time.Millisecond, 10 * time.Minute: 11 * time.Minute,
		} {
			w.put(t, key, hash(ttl, you, "1"))
			_, err := lua.Enqueue(t.Context(), w, enqueuing())
			require.NoError(t, err)
			require.Equal(t, list(want, mine), w.get(t, queue), "under a lock for %v", ttl)
			w.do(t, "DEL", key, queue)
		}
	})
}

func TestTicketNamesOwnerAttemptAndLeaseInWholeMilliseconds(t *testing.T) {
	assert.Equal(t, me+" 0 1", lua.Ticket(me, 0, time.Nanosecond))
	assert.Equal(t, you+" 18446744073709551615 30000", lua.Ticket(you, 1<<64-1, 30*time.Second))
	assert.Equal(t, me+" 12 1501", lua.Ticket(me, 12, 1500*time.Millisecond+time.Microsecond))
}
