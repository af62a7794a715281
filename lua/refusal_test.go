package lua_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/lua"
)

// tenth is a ticket that makes the script keep the queue alive.
const tenth = you + " 10 30000"

// without returns the documented rights but for those of these channels.
func without(t *testing.T, channels ...string) []string {
	t.Helper()
	rights := append(documented(t), "resetchannels")
	for _, c := range []string{"&redisson_lock__channel:*", "&rlock_beacon:*", "&rlock_grant:*"} {
		keep := true
		for _, name := range channels {
			keep = keep && !strings.HasPrefix(c, "&"+name)
		}
		if keep {
			rights = append(rights, c)
		}
	}
	return rights
}

func TestEnqueueLeavesOutWhatIsRefusedAboutTheQueue(t *testing.T) {
	const s = time.Second
	held := hash(20*s, you, "1")
	timed := waits(20 * s)
	timed.Time = clock
	for _, r := range []struct {
		refused         string
		tickets, queued content
		reply           lua.Enqueued
	}{
		{"-time", list(40*s, earlier, yours), list(80*s, mine, yours), waits(20 * s)},
		{"-lpos", list(40*s, earlier, yours), list(80*s, earlier, yours, mine), timed},
		{"-lset", list(40*s, earlier, yours), list(80*s, earlier, yours), timed},
		{"-rpush", list(40*s, yours), list(40*s, yours), timed},
		{"-pexpire", list(40*s, earlier, yours), list(40*s, mine, yours), timed},
		{"-pexpire", nothing, list(eternal, mine), timed},
	} {
		t.Run(r.refused, func(t *testing.T) {
			row{
				before: held, tickets: r.tickets, run: enqueue(replacing, clocked),
				reply: r.reply, after: held, queued: r.queued,
			}.playAs(t, append(documented(t), r.refused)...)
		})
	}
	t.Run("-lrem", func(t *testing.T) {
		row{
			before: nothing, tickets: list(40*s, earlier, yours), run: enqueue(replacing),
			reply: gotNow(0), after: hash(30*s, me, "1"), queued: list(40*s, earlier, yours), says: []string{look(earlier, 30*s)},
		}.playAs(t, append(documented(t), "-lrem")...)
	})
}

func TestPassLeavesOutWhatIsRefusedAboutTheQueue(t *testing.T) {
	const s = time.Second
	stranger := toStranger(3 * s)
	timeless := stranger
	timeless.Time = time.Time{}
	tickets := list(40*s, earlier, tenth, theirs)
	message := func(behind string) string { return grants(you) + " grant " + you + " 10 @ 3000 4 " + behind }
	untimed := strings.Replace(message("2"), "@", "0 0", 1)
	first := look(theirs, 3*s)
	for _, r := range []struct {
		refused string
		reply   lua.Passed
		after   content
		queued  content
		says    []string
	}{
		{"-time", timeless, hash(3*s, you, "1"), list(60*s, theirs, next), []string{untimed, first}},
		{"-lrem", stranger, hash(3*s, you, "1"), list(60*s, theirs, next), []string{message("2"), first}}, // it is skipped as an own one
		{"-rpush", stranger, hash(3*s, you, "1"), list(60*s, theirs), []string{message("2"), first}},
		{"-llen", stranger, hash(3*s, you, "1"), list(60*s, theirs, next), []string{message("1"), first}},
		{"-lindex", stranger, hash(3*s, you, "1"), list(60*s, theirs, next), []string{message("2")}},
		{"-pttl", stranger, hash(3*s, you, "1"), list(40*s, theirs, next), []string{message("2"), first}},
		{"-lpop", toNeighbour, hash(30*s, neighbour, "1"), list(40*s, tenth, theirs), nil},
		{"-pubsub", toNeighbour, hash(30*s, neighbour, "1"), nothing, nil},
		{"-publish", toNeighbour, hash(30*s, neighbour, "1"), list(40*s, theirs), nil},
		{"-hset", toNobody, nothing, list(40*s, theirs), []string{freed}},
		{"-pexpire", toNobody, nothing, list(40*s, theirs), []string{freed}},
	} {
		t.Run(r.refused, func(t *testing.T) {
			row{
				before: hash(20*s, me, "1"), tickets: tickets, attend: []string{grants(you)}, run: pass(lining, leaving, behind(-1)),
				reply: r.reply, after: r.after, queued: r.queued, says: r.says,
			}.playAs(t, append(documented(t), r.refused)...)
		})
	}
}

func TestPassLeavesOutRefusedChannels(t *testing.T) {
	const s = time.Second
	unheard := lua.Passed{Released: lua.Released{Status: lua.Done, Unheard: true}}
	one := hash(20*s, me, "1")
	foreign := []string{grants(you), channel}
	both := list(40*s, yours, theirs)
	for name, r := range map[string]struct {
		row    row
		rights []string
	}{
		"Grants": {row{
			before: one, tickets: both, attend: foreign, run: pass(),
			reply: toNobody, after: nothing, queued: list(40*s, theirs), says: []string{freed},
		}, without(t, "rlock_grant")},
		"GrantsBesideANeighbour": {row{
			before: one, tickets: both, attend: foreign, run: pass(lining),
			reply: toNeighbour, after: hash(30*s, neighbour, "1"), queued: list(40*s, theirs),
		}, without(t, "rlock_grant")},
		"GrantsOfAnInheritance": {row{
			before: nothing, tickets: both, attend: foreign, run: pass(inheriting),
			reply: toNobody, after: nothing, queued: list(40*s, theirs), says: []string{freed},
		}, without(t, "rlock_grant")},
		"Beacon": {row{
			before: one, tickets: both, attend: foreign, run: pass(bound),
			reply: toNobody, after: nothing, queued: both, says: []string{freed},
		}, without(t, "rlock_beacon")},
		"Public": {row{
			before: one, run: pass(),
			reply: unheard, after: nothing,
		}, without(t, "redisson_lock__channel")},
		"PublicAtTheBound": {row{
			before: one, tickets: both, attend: foreign, run: pass(lining, bound),
			reply: unheard, after: nothing, queued: list(40*s, yours, theirs, next), says: []string{beacon + " public"},
		}, without(t, "redisson_lock__channel")},
		"PublicAndStranger": {row{
			before: one, tickets: both, attend: foreign, run: pass(),
			reply: toStranger(3 * s), after: hash(3*s, you, "1"), queued: list(40*s, theirs), says: []string{grant(you, 3*s, 4, 0)},
		}, without(t, "redisson_lock__channel", "rlock_beacon")},
		"Count": {row{ // of listeners: nobody is taken for a foreigner
			before: one, attend: foreign, run: pass(bound),
			reply: toNobody, after: nothing, says: []string{freed},
		}, append(documented(t), "-pubsub")},
		"Publish": {row{
			before: one, tickets: both, attend: foreign, run: pass(),
			reply: unheard, after: nothing, queued: list(40*s, theirs),
		}, append(documented(t), "-publish")},
		"PublishOfAnInheritance": {row{
			before: nothing, tickets: both, attend: foreign, run: pass(inheriting),
			reply: unheard, after: nothing, queued: list(40*s, theirs),
		}, append(documented(t), "-publish")},
	} {
		t.Run(name, func(t *testing.T) { r.row.playAs(t, r.rights...) })
	}
}

// Where the queue's key is refused, the server does not begin the script.
func TestRefusedQueueIsAnErrorAndNothingHasChanged(t *testing.T) {
	const s = time.Second
	rights := append(documented(t), "resetkeys", "~"+key)
	for name, run := range map[string]func(context.Context, world) (any, error){
		"enqueue": enqueue(replacing, clocked), "pass": pass(lining, leaving), "inherit": pass(inheriting), "withdraw": withdraw,
		"release_alone": releaseAlone,
	} {
		for held, lock := range map[string]content{
			"Free": nothing, "Own": hash(20*s, me, "1"), "OfAnother": hash(20*s, you, "1"),
		} {
			t.Run(name+held, func(t *testing.T) {
				w := worlds["Real"](t)
				w.attend(t, grants(you))
				e := w.listen(t)
				w.put(t, key, lock)
				w.put(t, queue, list(40*s, earlier, mine, yours))
				got, err := run(t.Context(), user(t, rights...))
				var refusal *rueidis.RedisError
				require.ErrorAs(t, err, &refusal)
				assert.True(t, strings.HasPrefix(refusal.Error(), "NOPERM"), refusal)
				assert.Zero(t, got)
				w.requireContent(t, key, lock)
				w.requireContent(t, queue, list(40*s, earlier, mine, yours))
				assert.Empty(t, e.heard(t))
			})
		}
	}
}

func TestRefusedLookAtALockOfAnotherIsAnError(t *testing.T) {
	const s = time.Second
	for name, r := range map[string]struct {
		refused string
		run     func(context.Context, world) (any, error)
	}{
		"PassPTTL": {"-pttl", pass()}, "PassHEXISTS": {"-hexists", pass(beside)}, "InheritPTTL": {"-pttl", pass(inheriting)},
		"HandOverPTTL": {"-pttl", handOver}, "WithdrawPTTL": {"-pttl", withdraw}, "EnqueuePTTL": {"-pttl", enqueue()},
		"ReleaseAlonePTTL": {"-pttl", releaseAlone},
	} {
		t.Run(name, func(t *testing.T) {
			w := worlds["Real"](t)
			w.put(t, key, hash(20*s, you, "1"))
			w.put(t, queue, list(40*s, yours))
			got, err := r.run(t.Context(), user(t, append(documented(t), r.refused)...))
			var refusal *rueidis.RedisError
			require.ErrorAs(t, err, &refusal)
			assert.Zero(t, got)
			w.requireContent(t, key, hash(20*s, you, "1"))
			w.requireContent(t, queue, list(40*s, yours))
		})
	}
}
