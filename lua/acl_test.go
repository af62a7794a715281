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

// user returns a client that the real server knows as a user with only these rights on
// keys, channels and commands.
func user(t *testing.T, rights ...string) world {
	t.Helper()
	const name, password = "restricted", "secret"
	server.Do(t, append([]string{"ACL", "SETUSER", name, "reset", "on", ">" + password}, rights...)...)
	t.Cleanup(func() { server.Do(t, "ACL", "DELUSER", name) })
	return world{server.Client(t, func(o *rueidis.ClientOption) {
		o.Username, o.Password = name, password
	})}
}

// playAs plays the row once on the real server, its script as a user with only these
// rights, and checks it.
func (r row) playAs(t *testing.T, rights ...string) {
	t.Helper()
	w := worlds["Real"](t)
	e := w.listen(t)
	w.attend(t, r.attend...)
	w.put(t, key, r.before)
	w.put(t, queue, r.tickets)
	w.do(t, "SCRIPT", "FLUSH")
	got, err := r.run(t.Context(), user(t, rights...))
	require.NoError(t, err)
	assert.Equal(t, r.reply, settled(got, r.reply))
	w.requireContent(t, key, r.after)
	w.requireContent(t, queue, r.queued.orNothing())
	assert.Equal(t, r.says, timeless(e.heard(t), got))
}

// allow returns rights for commands.
func allow(names ...string) []string {
	var rights []string
	for _, name := range names {
		rights = append(rights, "+"+strings.ToLower(name))
	}
	return rights
}

// documented are the rights that the documentation asks for.
func documented(t *testing.T) []string {
	t.Helper()
	rights := []string{"~" + key, "~rlock_queue:*", "&redisson_lock__channel:*", "&rlock_beacon:*", "&rlock_grant:*"}
	rights = append(rights, allow("EVAL", "EVALSHA", "SUBSCRIBE", "UNSUBSCRIBE", "PING", "HELLO", "CLIENT")...)
	return append(rights, allow(allCommands(t)...)...)
}

func TestEveryScriptRunsWithTheDocumentedRights(t *testing.T) {
	rights := documented(t)
	const s = time.Second
	timed := waits(20 * s)
	timed.Time = clock
	one, attend := hash(20*s, me, "1"), []string{grants(you)}
	for _, r := range []row{
		{name: "acquire", before: nothing, run: acquire(1, 30*s), reply: got(0), after: hash(30*s, me, "1")},
		{name: "acquire", before: hash(20*s, me, "1"), run: acquire(2, 30*s), reply: got(1), after: hash(30*s, me, "2")},
		{name: "acquire", before: hash(20*s, you, "1"), run: acquire(1, 30*s), reply: notGot(lua.NotOwner, 20*s), after: hash(20*s, you, "1")},
		{name: "reduce", before: hash(30*s, me, "2"), run: reduce(1, 30*s), reply: done, after: hash(30*s, me, "1")},
		{name: "reduce", before: nothing, run: reduce(1, 30*s), reply: free, after: nothing},
		{name: "renew", before: hash(20*s, me, "1"), run: renew(30 * s), reply: []lua.Verdict{lua.Kept}, after: hash(30*s, me, "1")},
		{name: "renew", before: nothing, run: renew(30 * s), reply: []lua.Verdict{lua.Vanished}, after: nothing},
		{name: "inspect", before: hash(30*s, me, "1"), run: inspect, reply: lua.State{TTL: 30 * s, Fields: map[string]string{me: "1"}}, after: hash(30*s, me, "1")},
		{name: "release", before: hash(30*s, me, "1"), run: release, reply: done, after: nothing, says: []string{freed}},
		{name: "release", before: nothing, run: release, reply: free, after: nothing},
		{name: "force_release", before: hash(30*s, you, "1"), run: forceRelease, reply: done, after: nothing, says: []string{freed}},
		{name: "keep", before: one, run: keep(10 * s), reply: done, after: hash(10*s, keeper, "1"), says: []string{freed}},
		{name: "release_alone", before: one, run: releaseAlone, reply: done, after: nothing, says: []string{freed}},
		{name: "release_alone", before: nothing, run: releaseAlone, reply: free, after: nothing},
		{name: "hand_over", before: one, run: handOver, reply: done, after: hash(30*s, neighbour, "1")},
		{name: "hand_over", before: nothing, run: handOver, reply: free, after: nothing},
		{name: "enqueue", before: nothing, tickets: list(40*s, earlier), run: enqueue(replacing), reply: gotNow(0), after: hash(30*s, me, "1")},
		{name: "enqueue", before: hash(20*s, you, "1"), run: enqueue(clocked), reply: timed, after: hash(20*s, you, "1"), queued: list(80*s, mine)},
		{
			name: "enqueue", before: hash(20*s, you, "1"), tickets: list(40*s, yours, earlier, theirs), run: enqueue(replacing),
			reply: waits(20 * s), after: hash(20*s, you, "1"), queued: list(80*s, yours, mine, theirs),
		},
		{name: "withdraw", before: hash(20*s, you, "1"), tickets: list(40*s, mine), run: withdraw, reply: false, after: hash(20*s, you, "1")},
		{name: "withdraw", before: one, run: withdraw, reply: true, after: one},
		{name: "pass", before: one, run: pass(), reply: toNobody, after: nothing, says: []string{freed}},
		{name: "pass", before: one, run: pass(beside), reply: toNeighbour, after: hash(30*s, neighbour, "1")},
		{name: "pass", before: hash(30*s, neighbour, "1"), run: pass(beside), reply: hadBefore, after: hash(30*s, neighbour, "1")},
		{
			name: "pass", before: one, tickets: list(40*s, earlier, tenth, theirs), attend: attend, run: pass(lining, leaving, behind(-1)),
			reply: toStranger(3 * s), after: hash(3*s, you, "1"), queued: list(60*s, theirs, next),
			says: []string{strings.Replace(grant(you, 3*s, 4, 2), " 7 ", " 10 ", 1), look(theirs, 3*s)},
		},
		{
			name: "pass", before: one, tickets: list(40*s, yours), attend: []string{channel, grants(you)}, run: pass(bound),
			reply: toNobody, after: nothing, queued: list(40*s, yours), says: []string{beacon + " public", freed},
		},
	} {
		t.Run(r.name, func(t *testing.T) { r.playAs(t, rights...) })
	}
}

func TestRefusedPublishIsReportedAndTheRestIsDone(t *testing.T) {
	refusals := map[string][]string{
		"Command": append(documented(t), "-publish"),
		"Channel": append(documented(t), "resetchannels"),
	}
	for name, rights := range refusals {
		t.Run(name, func(t *testing.T) {
			for _, r := range []struct {
				run   func(context.Context, world) (any, error)
				after content
			}{
				{release, nothing},
				{releaseAlone, nothing},
				{forceRelease, nothing},
				{keep(15 * time.Second), hash(15*time.Second, keeper, "1")},
			} {
				root := world{server.Client(t)}
				root.do(t, "FLUSHALL")
				root.put(t, key, hash(30*time.Second, me, "2"))
				restricted := user(t, rights...)
				e := root.listen(t)

				got, err := r.run(t.Context(), restricted)
				require.NoError(t, err)
				assert.Equal(t, lua.Released{Status: lua.Done, Unheard: true}, got)
				root.requireContent(t, key, r.after)
				assert.Empty(t, e.heard(t))
			}
		})
	}
}

func TestRefusalOfAnyOtherCommandIsAnError(t *testing.T) {
	const s = time.Second
	runs := map[string]func(context.Context, world) (any, error){
		"acquire": acquire(2, 30*s), "release": release, "reduce": reduce(1, 30*s),
		"renew": renew(30 * s), "force_release": forceRelease, "inspect": inspect,
		"enqueue": enqueue(replacing), "pass": pass(lining, leaving), "hand_over": handOver, "withdraw": withdraw,
		"release_alone": releaseAlone, "keep": keep(10 * s),
	}
	// Each command that a script calls when the owner has the lock.
	for name, names := range map[string][]string{
		"acquire": {"PTTL", "HMGET", "HSET", "PEXPIRE"}, "release": {"HMGET", "DEL"},
		"reduce": {"HMGET", "HSET", "PEXPIRE"}, "renew": {"HMGET", "PTTL", "PEXPIRE"},
		"force_release": {"HEXISTS", "DEL"}, "inspect": {"PTTL", "HGETALL"},
		"enqueue": {"PTTL", "HMGET", "HSET", "PEXPIRE"}, "pass": {"HMGET", "DEL"},
		"hand_over": {"HMGET", "DEL"}, "withdraw": {"LREM", "HGET"}, "release_alone": {"HMGET", "EXISTS"},
		"keep": {"HMGET", "PTTL", "DEL"},
	} {
		for _, command := range names {
			t.Run(name+command, func(t *testing.T) {
				require.Contains(t, commands(scripts(t)[name]), command)
				root := world{server.Client(t)}
				root.do(t, "FLUSHALL")
				root.put(t, key, hash(20*s, me, "2"))
				root.put(t, queue, list(40*s, earlier, yours))
				root.attend(t, grants(you))
				e := root.listen(t)
				_, err := runs[name](t.Context(), user(t, append(documented(t), "-"+strings.ToLower(command))...))
				var refusal *rueidis.RedisError
				require.ErrorAs(t, err, &refusal)
				if command != "PEXPIRE" { // which comes after the count was set
					root.requireContent(t, key, hash(20*s, me, "2"))
				}
				root.requireContent(t, queue, list(40*s, earlier, yours))
				assert.Empty(t, e.heard(t))
			})
		}
	}
}

func TestRefusedExpiryLeavesNoLockWithoutOne(t *testing.T) {
	const s = time.Second
	for _, r := range []struct {
		name, refused string
		before        content
		run           func(context.Context, world) (any, error)
		after         content
	}{
		{"acquire", "-pexpire", nothing, acquire(1, s), nothing},
		{"enqueue", "-pexpire", nothing, enqueue(), nothing},
		{"enqueueOwn", "-pexpire", hash(20*s, me, "2"), enqueue(), hash(20*s, me, "1")},
		// The rights were taken away under the lock.
		{"hand_over", "-pexpire", hash(20*s, me, "1"), handOver, nothing},
		{"hand_over", "-hset", hash(20*s, me, "1"), handOver, nothing},
		{"keep", "-pexpire", hash(20*s, me, "1"), keep(10 * s), nothing},
		{"keep", "-hset", hash(20*s, me, "1"), keep(10 * s), nothing},
	} {
		t.Run(r.name+r.refused, func(t *testing.T) {
			root := world{server.Client(t)}
			root.do(t, "FLUSHALL")
			root.put(t, key, r.before)
			_, err := r.run(t.Context(), user(t, append(documented(t), r.refused)...))
			var refusal *rueidis.RedisError
			require.ErrorAs(t, err, &refusal)
			root.requireContent(t, key, r.after)
		})
	}
}

func TestKeysOutsideTheRightsAreRefused(t *testing.T) {
	restricted := user(t, documented(t)...)
	_, err := lua.Renew(t.Context(), restricted, []lua.Renewal{
		{Key: key, Owner: me, Lease: time.Second}, {Key: "invoices", Owner: me, Lease: time.Second},
	})
	var refusal *rueidis.RedisError
	require.ErrorAs(t, err, &refusal)
	assert.True(t, strings.HasPrefix(refusal.Error(), "NOPERM"), refusal)
}
