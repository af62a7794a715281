package lua_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

// names are keys and owners that a careless script would trip over.
var names = map[string]string{
	"Plain":      "orders",
	"Tagged":     "app:{t1}:x",
	"Spaces":     "two words\tand a tab",
	"LineBreaks": "one\r\ntwo\n$3\r\n",
	"Quotes":     `it's "quoted" \ and %s`,
	"Binary":     "\x00\xff\xfe\x80",
	"Unicode":    "заказ-№42-🔒",
	"Number":     "1",
	"Long":       strings.Repeat("x", 64<<10),
}

func TestLockIsAHashOfItsOwnerAndADecimalCount(t *testing.T) {
	for name, key := range names {
		t.Run(name, func(t *testing.T) {
			for name, connect := range worlds {
				t.Run(name, func(t *testing.T) {
					w := connect(t)
					for _, owner := range []string{me, "client:" + key} {
						_, err := lua.Acquire(t.Context(), w, key, owner, 1, 30*time.Second)
						require.NoError(t, err)
						w.requireContent(t, key, hash(30*time.Second, owner, "1"))
						keys, err := w.do(t, "KEYS", "*").AsStrSlice()
						require.NoError(t, err)
						assert.Equal(t, []string{key}, keys)

						// As a client that increments does, Redisson for example.
						count, err := w.do(t, "HINCRBY", key, owner, "1").ToInt64()
						require.NoError(t, err)
						assert.EqualValues(t, 2, count)
						got, err := lua.Acquire(t.Context(), w, key, owner, 3, 30*time.Second)
						require.NoError(t, err)
						assert.Equal(t, lua.Acquired{Status: lua.Done, Found: 2}, got)
						w.requireContent(t, key, hash(30*time.Second, owner, "3"))

						verdicts, err := lua.Renew(t.Context(), w, []lua.Renewal{{Key: key, Owner: owner, Lease: 60 * time.Second}})
						require.NoError(t, err)
						assert.Equal(t, []lua.Verdict{lua.Kept}, verdicts)
						_, err = lua.Reduce(t.Context(), w, key, owner, 10, 40*time.Second, lua.Told{})
						require.NoError(t, err)
						w.requireContent(t, key, hash(40*time.Second, owner, "10"))
						state, err := lua.Inspect(t.Context(), w, key)
						require.NoError(t, err)
						assert.Equal(t, map[string]string{owner: "10"}, state.Fields)

						released, err := lua.Release(t.Context(), w, key, owner, channel)
						require.NoError(t, err)
						assert.Equal(t, done, released)
						w.requireContent(t, key, nothing)
					}
				})
			}
		})
	}
}

func TestLockOfAnyNameIsHandedOver(t *testing.T) {
	for name, key := range names {
		t.Run(name, func(t *testing.T) {
			for name, connect := range worlds {
				t.Run(name, func(t *testing.T) {
					w := connect(t)
					queue, tail := "rlock_queue:{"+key+"}", "{"+key+"}"
					client, _, _ := strings.Cut(you, ":")
					w.attend(t, "rlock_grant:"+tail+":"+client)
					e := w.listen(t)
					w.put(t, key, hash(30*time.Second, me, "1"))

					asked, err := lua.Enqueue(t.Context(), w, lua.Enqueuing{Key: key, Queue: queue, Owner: you, Lease: time.Minute, Ticket: yours})
					require.NoError(t, err)
					assert.Equal(t, lua.NotOwner, asked.Status)
					handed, err := lua.HandOver(t.Context(), w, key, me, neighbour, 30*time.Second, lua.Told{})
					require.NoError(t, err)
					assert.Equal(t, done, handed)
					passed, err := lua.Pass(t.Context(), w, lua.Passing{Key: key, Queue: queue, Tail: tail, Owner: neighbour, Most: 7})
					require.NoError(t, err)
					assert.Equal(t, lua.Stranger, passed.Successor)
					heard := timeless(e.heard(t), passed)
					assert.Equal(t, []string{"rlock_grant:" + tail + ":" + client + " grant " + you + " 7 @ 3000 1 0"}, heard)

					keys, err := w.do(t, "KEYS", "*").AsStrSlice()
					require.NoError(t, err)
					assert.Equal(t, []string{key}, keys, "an empty queue is gone")
					served, err := lua.Withdraw(t.Context(), w, key, queue, you, yours)
					require.NoError(t, err)
					assert.True(t, served)
					passed, err = lua.Pass(t.Context(), w, lua.Passing{Key: key, Queue: queue, Tail: tail, Owner: you, Most: 7})
					require.NoError(t, err)
					assert.Equal(t, toNobody, passed)
					assert.Equal(t, []string{"redisson_lock__channel:" + tail + " 0"}, e.heard(t))
				})
			}
		})
	}
}

func TestReleaseOfAJavaOwnersLockNeedsItsName(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			w.do(t, "HINCRBY", key, you, "1")
			w.do(t, "PEXPIRE", key, "30000")
			got, err := lua.Acquire(t.Context(), w, key, me, 1, time.Second)
			require.NoError(t, err)
			assert.Equal(t, lua.NotOwner, got.Status)
			released, err := lua.Release(t.Context(), w, key, you, channel)
			require.NoError(t, err)
			assert.Equal(t, done, released)
		})
	}
}

func TestLeasesAreWholeMillisecondsRoundedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		w := world{client()}
		ttl := func() time.Duration { return w.get(t, key).ttl }
		for lease, want := range map[time.Duration]time.Duration{
			time.Nanosecond:                      time.Millisecond,
			time.Millisecond:                     time.Millisecond,
			1500 * time.Microsecond:              2 * time.Millisecond,
			30*time.Second - 1*time.Nanosecond:   30 * time.Second,
			30*time.Second + 999*time.Nanosecond: 30*time.Second + time.Millisecond,
		} {
			w.do(t, "DEL", key)
			_, err := lua.Acquire(t.Context(), w, key, me, 1, lease)
			require.NoError(t, err)
			assert.Equal(t, want, ttl(), "acquire with %v", lease)

			w.do(t, "PEXPIRE", key, "1")
			_, err = lua.Renew(t.Context(), w, []lua.Renewal{{Key: key, Owner: me, Lease: lease}})
			require.NoError(t, err)
			assert.Equal(t, want, ttl(), "renew with %v", lease)

			w.do(t, "PEXPIRE", key, "100000")
			_, err = lua.Reduce(t.Context(), w, key, me, 1, lease, lua.Told{})
			require.NoError(t, err)
			assert.Equal(t, want, ttl(), "reduce with %v", lease)

			_, err = lua.HandOver(t.Context(), w, key, me, neighbour, lease, lua.Told{})
			require.NoError(t, err)
			assert.Equal(t, want, ttl(), "hand_over with %v", lease)

			p := passing()
			p.Owner, p.Neighbour, p.Lease = neighbour, me, lease
			_, err = lua.Pass(t.Context(), w, p)
			require.NoError(t, err)
			assert.Equal(t, want, ttl(), "pass with %v", lease)

			w.do(t, "DEL", key)
			e := enqueuing()
			e.Lease = lease
			_, err = lua.Enqueue(t.Context(), w, e)
			require.NoError(t, err)
			assert.Equal(t, want, ttl(), "enqueue with %v", lease)
		}
	})
}

func TestLongestLeaseIsKept(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	w := world{server.Client(t)} // the one in this process cannot count that far
	w.do(t, "FLUSHALL")
	_, err := lua.Acquire(t.Context(), w, key, me, 1, longest)
	require.NoError(t, err)
	verdicts, err := lua.Renew(t.Context(), w, []lua.Renewal{{Key: key, Owner: me, Lease: longest}})
	require.NoError(t, err)
	assert.Equal(t, []lua.Verdict{lua.Kept}, verdicts)
	left := func(key string) int64 {
		ttl, err := w.do(t, "PTTL", key).ToInt64()
		require.NoError(t, err)
		return ttl
	}
	assert.InDelta(t, longest.Milliseconds(), left(key), float64(slack.Milliseconds()))

	// The queue lives a minute longer.
	e := enqueuing()
	e.Owner, e.Lease = you, longest
	_, err = lua.Enqueue(t.Context(), w, e)
	require.NoError(t, err)
	assert.InDelta(t, longest.Milliseconds()+60_000, left(queue), float64(slack.Milliseconds()))
	_, err = lua.HandOver(t.Context(), w, key, me, neighbour, longest, lua.Told{})
	require.NoError(t, err)
	assert.InDelta(t, longest.Milliseconds(), left(key), float64(slack.Milliseconds()))

	w.attend(t, grants(you))
	w.do(t, "DEL", queue)
	w.put(t, queue, list(eternal, yours))
	p := passing()
	p.Owner, p.Neighbour, p.Lease, p.Ticket = neighbour, me, longest, mine
	_, err = lua.Pass(t.Context(), w, p)
	require.NoError(t, err)
	assert.InDelta(t, longest.Milliseconds()+60_000, left(queue), float64(slack.Milliseconds()))
}

func TestScriptsRunInProtocol2Too(t *testing.T) {
	w := world{server.Client(t, resp2)}
	w.do(t, "FLUSHALL")
	w.attend(t, grants(me))
	const s = time.Second
	timed := waits(30 * s)
	timed.Time = clock
	served := func(ctx context.Context, w world) (any, error) { // by another process
		w.do(t, "DEL", key)
		w.put(t, key, hash(30*s, you, "1"))
		return pass(func(p *lua.Passing) { p.Owner = you })(ctx, w)
	}
	for _, r := range []row{
		{run: acquire(1, 30*s), reply: got(0)},
		{run: acquire(2, 30*s), reply: got(1)},
		{run: renew(30 * s), reply: []lua.Verdict{lua.Kept}},
		{run: inspect, reply: lua.State{TTL: 30 * s, Fields: map[string]string{me: "2"}}},
		{run: reduce(1, 20*s), reply: done},
		{run: release, reply: done},
		{run: inspect, reply: lua.State{TTL: lua.Free, Fields: map[string]string{}}},
		{run: forceRelease, reply: lua.Released{}},
		{run: enqueue(), reply: gotNow(0)},
		{run: handOver, reply: done},
		{run: enqueue(clocked), reply: timed},
		{run: withdraw, reply: false},
		{run: pass(beside), reply: hadBefore},
		{run: enqueue(), reply: waits(30 * s)},
		{run: served, reply: toStranger(3 * s)},
		{run: withdraw, reply: true},
		{run: pass(), reply: toNobody},
		{run: releaseAlone, reply: free},
		{run: keep(s), reply: free},
	} {
		got, err := r.run(t.Context(), w)
		require.NoError(t, err)
		assert.Equal(t, r.reply, settled(got, r.reply))
	}
}
