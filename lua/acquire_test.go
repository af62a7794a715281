package lua_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-rlock/rlock/lua"
)

func acquire(holds int, lease time.Duration) func(context.Context, world) (any, error) {
	return func(ctx context.Context, w world) (any, error) {
		return lua.Acquire(ctx, w, key, me, holds, lease)
	}
}

func got(found int) lua.Acquired { return lua.Acquired{Status: lua.Done, Found: found} }

func notGot(status lua.Status, ttl time.Duration) lua.Acquired {
	return lua.Acquired{Status: status, TTL: ttl}
}

func TestAcquireSetsTheCountAndNeverShortensTheLease(t *testing.T) {
	const s = time.Second
	check(t, []row{
		{
			name: "FreeLock", before: nothing, run: acquire(1, 30*s),
			reply: got(0), after: hash(30*s, me, "1"), again: got(1),
		},
		{
			name: "ReentryOfALockThatVanished", before: nothing, run: acquire(2, 30*s),
			reply: notGot(lua.Gone, lua.Free), after: nothing, again: notGot(lua.Gone, lua.Free),
		},
		{
			name: "Reentry", before: hash(20*s, me, "1"), run: acquire(2, 30*s),
			reply: got(1), after: hash(30*s, me, "2"), again: got(2),
		},
		{
			name: "ReentryWithAShorterLease", before: hash(120*s, me, "1"), run: acquire(2, 30*s),
			reply: got(1), after: hash(120*s, me, "2"), again: got(2),
		},
		{
			name: "CountBelowWhatIsThere", before: hash(20*s, me, "5"), run: acquire(3, 30*s),
			reply: got(5), after: hash(30*s, me, "3"), again: got(3),
		},
		{
			name: "CountFarAboveWhatIsThere", before: hash(20*s, me, "1"), run: acquire(7, 30*s),
			reply: got(1), after: hash(30*s, me, "7"), again: got(7),
		},
		{
			name: "FirstHoldOfAnOwnerWhoHasSome", before: hash(20*s, me, "4"), run: acquire(1, 30*s),
			reply: got(4), after: hash(30*s, me, "1"), again: got(1),
		},
		{
			name: "OwnHashWithoutExpiry", before: hash(eternal, me, "1"), run: acquire(2, 30*s),
			reply: got(1), after: hash(30*s, me, "2"), again: got(2),
		},
		{
			name: "OwnCountIsNoNumber", before: hash(20*s, me, "many"), run: acquire(2, 30*s),
			reply: got(0), after: hash(30*s, me, "2"), again: got(2),
		},
	})
}

func TestAcquireLeavesOthersAlone(t *testing.T) {
	const s = time.Second
	unchanged := func(name string, before content, holds int, reply lua.Acquired) row {
		return row{name: name, before: before, run: acquire(holds, 60*s), reply: reply, after: before, again: reply}
	}
	refused := func(name string, before content, holds int) row {
		return row{name: name, before: before, run: acquire(holds, 60*s), err: "WRONGTYPE", after: before}
	}
	check(t, []row{
		unchanged("HeldByAnother", hash(20*s, you, "1"), 1, notGot(lua.NotOwner, 20*s)),
		unchanged("HeldByAnotherForLonger", hash(120*s, you, "1"), 1, notGot(lua.NotOwner, 120*s)),
		unchanged("HeldByAnotherForEver", hash(eternal, you, "1"), 1, notGot(lua.NotOwner, lua.Forever)),
		unchanged("ReentryOfALockTakenOver", hash(20*s, you, "1"), 2, notGot(lua.Gone, 20*s)),
		unchanged("ReentryOfALockTakenOverForEver", hash(eternal, you, "1"), 2, notGot(lua.Gone, lua.Forever)),
		unchanged("ReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "write"), 1, notGot(lua.NotOwner, 20*s)),
		unchanged("ReentryOfAReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "read"), 2, notGot(lua.Gone, 20*s)),
		unchanged("OwnReadWriteLock", hash(20*s, me, "1", you, "1", "mode", "read"), 1, notGot(lua.OtherKind, 0)),
		unchanged("ReentryOfAnOwnReadWriteLock", hash(20*s, me, "1", "mode", "write"), 2, notGot(lua.OtherKind, 0)),
		refused("SomethingElse", text(eternal), 1),
		refused("ReentryOfSomethingElse", text(20*s), 2),
	})
}
