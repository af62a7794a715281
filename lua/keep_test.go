package lua_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// keeper is an owner that nobody is.
const keeper = "11111111-2222-3333-4444-555555555555:-7"

func keep(rest time.Duration) func(context.Context, world) (any, error) {
	return func(ctx context.Context, w world) (any, error) {
		return lua.Keep(ctx, w, key, me, keeper, rest, channel)
	}
}

func TestKeepLeavesTheLockTakenForTheRestAndTellsOnce(t *testing.T) {
	const s = time.Second
	kept := hash(40*s, keeper, "1")
	unchanged := func(name string, before content, reply lua.Released) row {
		return row{name: name, before: before, run: keep(40 * s), reply: reply, after: before, again: reply}
	}
	check(t, []row{
		{name: "OneHold", before: hash(120*s, me, "1"), run: keep(40 * s), reply: done, after: kept, again: done, says: []string{freed}},
		{name: "ManyHolds", before: hash(120*s, me, "9"), run: keep(40 * s), reply: done, after: kept, again: done, says: []string{freed}},
		{
			name: "LeaseIsNotProlonged", before: hash(20*s, me, "1"), run: keep(40 * s),
			reply: done, after: hash(20*s, keeper, "1"), again: done, says: []string{freed},
		},
		{name: "WithoutExpiry", before: hash(eternal, me, "1"), run: keep(40 * s), reply: done, after: kept, again: done, says: []string{freed}},
		{
			name: "NoTicketIsServed", before: hash(120*s, me, "1"), tickets: list(90*s, yours), attend: []string{grants(you)}, run: keep(40 * s),
			reply: done, after: kept, queued: list(90*s, yours), again: done, says: []string{freed},
		},
		unchanged("KeptBefore", hash(20*s, keeper, "1"), done),
		unchanged("KeptBeforeForLonger", hash(120*s, keeper, "1"), done),
		unchanged("FreeLock", nothing, free),
		unchanged("HeldByAnother", hash(20*s, you, "2"), notOwner(20*s)),
		unchanged("HeldByAnotherForEver", hash(eternal, you, "2"), notOwner(lua.Forever)),
		unchanged("OwnReadWriteLock", hash(20*s, me, "1", you, "1", "mode", "read"), other),
		unchanged("ReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "read"), notOwner(20*s)),
		unchanged("ReadWriteLockOfTheKeeper", hash(20*s, keeper, "1", "mode", "read"), notOwner(20*s)),
		{name: "SomethingElse", before: text(20 * s), run: keep(40 * s), err: "WRONGTYPE", after: text(20 * s)},
	})
}
