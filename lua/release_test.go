package lua_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-rlock/rlock/lua"
)

func release(ctx context.Context, w world) (any, error) {
	return lua.Release(ctx, w, key, me, channel)
}

func releaseAlone(ctx context.Context, w world) (any, error) {
	return lua.ReleaseAlone(ctx, w, key, queue, me, channel)
}

func forceRelease(ctx context.Context, w world) (any, error) {
	return lua.ForceRelease(ctx, w, key, channel)
}

func reduce(holds int, lease time.Duration) func(context.Context, world) (any, error) {
	return reduceAndTell(holds, lease, lua.Told{Channel: channel})
}

func reduceAndTell(holds int, lease time.Duration, told lua.Told) func(context.Context, world) (any, error) {
	return func(ctx context.Context, w world) (any, error) {
		return lua.Reduce(ctx, w, key, me, holds, lease, told)
	}
}

// everybody is who is told where tickets are used.
var everybody = lua.Told{Channel: channel, Beacon: beacon}

var (
	done  = lua.Released{Status: lua.Done}
	other = lua.Released{Status: lua.OtherKind}
	free  = lua.Released{Status: lua.NotOwner, TTL: lua.Free}
)

func notOwner(ttl time.Duration) lua.Released {
	return lua.Released{Status: lua.NotOwner, TTL: ttl}
}

func TestReleaseFreesOnlyTheOwnersLockAndTellsOnce(t *testing.T) {
	const s = time.Second
	check(t, []row{
		{name: "OneHold", before: hash(20*s, me, "1"), run: release, reply: done, after: nothing, again: free, says: []string{freed}},
		{name: "ManyHolds", before: hash(20*s, me, "9"), run: release, reply: done, after: nothing, again: free, says: []string{freed}},
		{name: "WithoutExpiry", before: hash(eternal, me, "1"), run: release, reply: done, after: nothing, again: free, says: []string{freed}},
		{name: "FreeLock", before: nothing, run: release, reply: free, after: nothing, again: free},
		{
			name: "HeldByAnother", before: hash(20*s, you, "2"), run: release,
			reply: notOwner(20 * s), after: hash(20*s, you, "2"), again: notOwner(20 * s),
		},
		{
			name: "HeldByAnotherForEver", before: hash(eternal, you, "2"), run: release,
			reply: notOwner(lua.Forever), after: hash(eternal, you, "2"), again: notOwner(lua.Forever),
		},
		{
			name: "OwnReadWriteLock", before: hash(20*s, me, "1", you, "1", "mode", "read"), run: release,
			reply: other, after: hash(20*s, me, "1", you, "1", "mode", "read"), again: other,
		},
		{
			name: "ReadWriteLockOfAnother", before: hash(20*s, you, "1", "mode", "read"), run: release,
			reply: notOwner(20 * s), after: hash(20*s, you, "1", "mode", "read"), again: notOwner(20 * s),
		},
		{name: "SomethingElse", before: text(20 * s), run: release, err: "WRONGTYPE", after: text(20 * s)},
	})
}

func TestReleaseAloneFreesTheLockOnlyWhereNoTicketLies(t *testing.T) {
	const s = time.Second
	queued := lua.Released{Status: lua.Queued}
	rows := []row{
		{name: "OneHold", before: hash(20*s, me, "1"), run: releaseAlone, reply: done, after: nothing, says: []string{freed}, again: free},
		{name: "ManyHolds", before: hash(20*s, me, "9"), run: releaseAlone, reply: done, after: nothing, says: []string{freed}, again: free},
		{name: "WithoutExpiry", before: hash(eternal, me, "1"), run: releaseAlone, reply: done, after: nothing, says: []string{freed}, again: free},
		{name: "SomethingElse", before: text(20 * s), run: releaseAlone, err: "WRONGTYPE", after: text(20 * s)},
	}
	for _, r := range []struct {
		name            string
		before, tickets content
		reply           lua.Released
	}{
		{"Ticket", hash(20*s, me, "2"), list(40*s, yours), queued},
		{"DeadTickets", hash(20*s, me, "1"), list(40*s, dead(2)...), queued},
		{"OwnTicket", hash(20*s, me, "1"), list(eternal, mine), queued},
		{"QueueIsNoList", hash(20*s, me, "1"), text(40 * s), queued},
		{"FreeLock", nothing, nothing, free},
		{"FreeLockWithATicket", nothing, list(40*s, yours), free},
		{"HeldByAnother", hash(20*s, you, "2"), nothing, notOwner(20 * s)},
		{"HeldByAnotherForEver", hash(eternal, you, "2"), list(40*s, yours), notOwner(lua.Forever)},
		{"OwnReadWriteLock", hash(20*s, me, "1", you, "1", "mode", "read"), nothing, other},
		{"OwnReadWriteLockWithATicket", hash(20*s, me, "1", "mode", "write"), list(40*s, yours), other},
		{"ReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "read"), nothing, notOwner(20 * s)},
	} {
		rows = append(rows, row{
			name: r.name, before: r.before, tickets: r.tickets, attend: []string{grants(you)}, run: releaseAlone,
			reply: r.reply, after: r.before, queued: r.tickets, again: r.reply,
		})
	}
	check(t, rows)
}

func TestReduceStatesCountAndLease(t *testing.T) {
	const s = time.Second
	check(t, []row{
		{
			name: "ShorterLease", before: hash(120*s, me, "3"), run: reduce(2, 30*s),
			reply: done, after: hash(30*s, me, "2"), again: done, says: []string{freed},
		},
		{
			name: "LongerLease", before: hash(20*s, me, "3"), run: reduce(1, 60*s),
			reply: done, after: hash(60*s, me, "1"), again: done,
		},
		{
			name: "CountAboveWhatIsThere", before: hash(20*s, me, "1"), run: reduce(4, 60*s),
			reply: done, after: hash(60*s, me, "4"), again: done,
		},
		{
			name: "WithoutExpiry", before: hash(eternal, me, "2"), run: reduce(1, 30*s),
			reply: done, after: hash(30*s, me, "1"), again: done, says: []string{freed},
		},
		{
			name: "ShorterLeaseIsTold", before: hash(120*s, me, "3"), run: reduceAndTell(2, 30*s, everybody),
			attend: []string{channel, beacon}, reply: done, after: hash(30*s, me, "2"), again: done, says: []string{beacon + " look 30000"},
		},
		{
			name: "ShorterLeaseIsToldToStrangers", before: hash(120*s, me, "3"), run: reduceAndTell(2, 30*s, everybody),
			attend: []string{channel, channel, beacon}, reply: done, after: hash(30*s, me, "2"), again: done,
			says: []string{beacon + " look 30000", freed},
		},
		{
			name: "LeaseThatWasEndlessIsTold", before: hash(eternal, me, "3"), run: reduceAndTell(2, 30*s, everybody),
			reply: done, after: hash(30*s, me, "2"), again: done, says: []string{beacon + " look 30000"},
		},
		{
			name: "LongerLeaseIsNoNews", before: hash(20*s, me, "3"), run: reduceAndTell(1, 60*s, everybody),
			reply: done, after: hash(60*s, me, "1"), again: done,
		},
		{name: "FreeLock", before: nothing, run: reduce(1, 30*s), reply: free, after: nothing, again: free},
		{
			name: "HeldByAnother", before: hash(120*s, you, "2"), run: reduce(1, 30*s),
			reply: notOwner(120 * s), after: hash(120*s, you, "2"), again: notOwner(120 * s),
		},
		{
			name: "HeldByAnotherForEver", before: hash(eternal, you, "2"), run: reduce(1, 30*s),
			reply: notOwner(lua.Forever), after: hash(eternal, you, "2"), again: notOwner(lua.Forever),
		},
		{
			name: "OwnReadWriteLock", before: hash(120*s, me, "2", "mode", "write"), run: reduce(1, 30*s),
			reply: other, after: hash(120*s, me, "2", "mode", "write"), again: other,
		},
		{name: "SomethingElse", before: text(120 * s), run: reduce(1, 30*s), err: "WRONGTYPE", after: text(120 * s)},
	})
}

func TestForceReleaseFreesAnyLockAndTellsOnce(t *testing.T) {
	const s = time.Second
	check(t, []row{
		{name: "OwnHolds", before: hash(20*s, me, "2"), run: forceRelease, reply: done, after: nothing, again: lua.Released{}, says: []string{freed}},
		{name: "HeldByAnother", before: hash(20*s, you, "1"), run: forceRelease, reply: done, after: nothing, again: lua.Released{}, says: []string{freed}},
		{name: "WithoutExpiry", before: hash(eternal, you, "1"), run: forceRelease, reply: done, after: nothing, again: lua.Released{}, says: []string{freed}},
		{
			name: "ReadWriteLock", before: hash(20*s, me, "1", you, "1", "mode", "read"), run: forceRelease,
			reply: done, after: nothing, again: lua.Released{}, says: []string{freed},
		},
		{name: "FreeLock", before: nothing, run: forceRelease, reply: lua.Released{}, after: nothing, again: lua.Released{}},
		{name: "SomethingElse", before: text(20 * s), run: forceRelease, err: "WRONGTYPE", after: text(20 * s)},
		{name: "SomethingElseForEver", before: text(eternal), run: forceRelease, err: "WRONGTYPE", after: text(eternal)},
	})
}
