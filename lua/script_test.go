package lua_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

// The names that the tables use. They are those of the Redisson wire format.
const (
	key     = "orders"
	channel = "redisson_lock__channel:{orders}"
	me      = "11111111-2222-3333-4444-555555555555:57"
	you     = "99999999-2222-3333-4444-555555555555:-3"
)

// slack is how much of a time to live may have passed when a test looks at it. The
// times in the tables lie further apart.
const slack = 9 * time.Second

// eternal is the time to live of a key that does not expire.
const eternal = lua.Forever

// A world is a server that scripts run on.
type world struct {
	rueidis.Client
}

// worlds are the server in this process and the real one, empty.
var worlds = map[string]func(*testing.T) world{
	"Embedded": func(t *testing.T) world {
		t.Helper()
		_, client := bubble.New(t)
		return world{client()}
	},
	"Real": func(t *testing.T) world {
		t.Helper()
		w := world{server.Client(t)}
		w.do(t, "FLUSHALL")
		return w
	},
}

// do sends a command, which must not fail.
func (w world) do(t *testing.T, args ...string) rueidis.RedisResult {
	t.Helper()
	reply := w.Do(t.Context(), w.B().Arbitrary(args[0]).Args(args[1:]...).Build())
	if err := reply.Error(); !rueidis.IsRedisNil(err) {
		require.NoError(t, err, args)
	}
	return reply
}

// A content is what lies at a key.
type content struct {
	kind   string // "none", "hash" or "string"
	fields map[string]string
	ttl    time.Duration
}

var nothing = content{kind: "none", ttl: lua.Free}

func hash(ttl time.Duration, fields ...string) content {
	c := content{kind: "hash", fields: make(map[string]string), ttl: ttl}
	for i := 0; i < len(fields); i += 2 {
		c.fields[fields[i]] = fields[i+1]
	}
	return c
}

func text(ttl time.Duration) content { return content{kind: "string", ttl: ttl} }

// put writes a content to a key.
func (w world) put(t *testing.T, key string, c content) {
	t.Helper()
	switch c.kind {
	case "hash":
		for field, value := range c.fields {
			w.do(t, "HSET", key, field, value)
		}
	case "string":
		w.do(t, "SET", key, "something else")
	}
	if c.ttl > 0 {
		w.do(t, "PEXPIRE", key, milliseconds(c.ttl))
	}
}

func (w world) get(t *testing.T, key string) content {
	t.Helper()
	kind, err := w.do(t, "TYPE", key).ToString()
	require.NoError(t, err)
	c := content{kind: kind}
	if kind == "hash" {
		c.fields, err = w.do(t, "HGETALL", key).AsStrMap()
		require.NoError(t, err)
	}
	ttl, err := w.do(t, "PTTL", key).ToInt64()
	require.NoError(t, err)
	c.ttl = time.Duration(ttl) * time.Millisecond
	return c
}

// requireContent checks what lies at a key.
func (w world) requireContent(t *testing.T, key string, want content) {
	t.Helper()
	got := w.get(t, key)
	got.ttl = rounded(got.ttl, want.ttl)
	require.Equal(t, want, got)
}

// rounded returns want if the time to live got was want a moment ago.
func rounded(got, want time.Duration) time.Duration {
	if want > 0 && want-slack < got && got <= want {
		return want
	}
	return got
}

// An ear hears what is published on the channel of the tables.
type ear struct {
	world    world
	messages chan string
}

func (w world) listen(t *testing.T) ear {
	t.Helper()
	e := ear{world: w, messages: make(chan string, 16)}
	conn, release := w.Dedicate()
	t.Cleanup(func() { conn.Close(); release() })
	confirmed := make(chan struct{})
	conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { e.messages <- m.Message },
		OnSubscription: func(rueidis.PubSubSubscription) { close(confirmed) },
	})
	require.NoError(t, conn.Do(t.Context(), conn.B().Subscribe().Channel(channel).Build()).Error())
	<-confirmed
	return e
}

// heard returns what has been published since the last call.
func (e ear) heard(t *testing.T) []string {
	t.Helper()
	const end = "end of test"
	e.world.do(t, "PUBLISH", channel, end)
	heard := []string{}
	for m := range e.messages {
		if m == end {
			break
		}
		heard = append(heard, m)
	}
	return heard
}

// A row is one line of a script's table: what lies at the key, what the script
// answers, and what lies there afterwards.
type row struct {
	name   string
	before content
	run    func(ctx context.Context, w world) (any, error)
	reply  any
	err    string // instead of the reply
	after  content
	again  any // the reply when it runs a second time, after which the state is the same
	says   int // how often it publishes, both times together
}

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		for name, connect := range worlds {
			t.Run(r.name+name, func(t *testing.T) { r.check(t, connect(t)) })
		}
	}
}

func (r row) check(t *testing.T, w world) {
	t.Helper()
	e := w.listen(t)
	w.put(t, key, r.before)
	for _, want := range []any{r.reply, r.again} {
		w.do(t, "SCRIPT", "FLUSH") // the server need not know the script
		got, err := r.run(t.Context(), w)
		if r.err != "" {
			require.ErrorContains(t, err, r.err)
		} else {
			require.NoError(t, err)
			require.Equal(t, want, settled(got, want))
		}
		w.requireContent(t, key, r.after)
	}
	heard := e.heard(t)
	assert.Len(t, heard, r.says)
	for _, m := range heard {
		assert.Equal(t, "0", m)
	}
}

// settled returns the reply with the times that the wanted one has, if they agree but
// for the time that has passed.
func settled(got, want any) any {
	switch got := got.(type) {
	case lua.Acquired:
		if want, ok := want.(lua.Acquired); ok {
			got.TTL = rounded(got.TTL, want.TTL)
		}
		return got
	case lua.Released:
		if want, ok := want.(lua.Released); ok {
			got.TTL = rounded(got.TTL, want.TTL)
		}
		return got
	case lua.State:
		if want, ok := want.(lua.State); ok {
			got.TTL = rounded(got.TTL, want.TTL)
			got.Fields = maps.Clone(got.Fields)
		}
		return got
	}
	return got
}
