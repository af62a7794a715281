package lua_test

import (
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

// The names that the tables use. They are those of the Redisson wire format, and those
// of handing over.
const (
	key     = "orders"
	channel = "redisson_lock__channel:{orders}"
	me      = "11111111-2222-3333-4444-555555555555:57"
	you     = "99999999-2222-3333-4444-555555555555:-3"

	queue  = "rlock_queue:{orders}"
	tail   = "{orders}"
	beacon = "rlock_beacon:{orders}"
)

// freed is how a public release sounds.
const freed = channel + " 0"

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
	kind   string // "none", "hash", "list" or "string"
	fields map[string]string
	items  []string
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

func list(ttl time.Duration, items ...string) content {
	return content{kind: "list", items: items, ttl: ttl}
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
	case "list":
		w.do(t, append([]string{"RPUSH", key}, c.items...)...)
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
	switch kind {
	case "hash":
		c.fields, err = w.do(t, "HGETALL", key).AsStrMap()
	case "list":
		c.items, err = w.do(t, "LRANGE", key, "0", "-1").AsStrSlice()
	}
	require.NoError(t, err)
	ttl, err := w.do(t, "PTTL", key).ToInt64()
	require.NoError(t, err)
	c.ttl = time.Duration(ttl) * time.Millisecond
	return c
}

// requireContent checks what lies at a key.
func (w world) requireContent(t *testing.T, key string, want content) {
	t.Helper()
	require.Equal(t, want, w.get(t, key).settled(want))
}

// settled returns the content with the time to live that the wanted one has, if they
// agree but for the time that has passed.
func (c content) settled(want content) content {
	c.ttl = rounded(c.ttl, want.ttl)
	return c
}

// orNothing returns the content, or nothing in the place of none.
func (c content) orNothing() content {
	if c.kind == "" {
		return nothing
	}
	return c
}

// rounded returns want if the time to live got was want a moment ago.
func rounded(got, want time.Duration) time.Duration {
	if 0 < got && want-slack < got && got <= want {
		return want
	}
	return got
}

// An ear hears what is published on any channel. It listens by a pattern, so that no
// script takes it for a client.
type ear struct {
	world    world
	messages chan rueidis.PubSubMessage
}

func (w world) listen(t *testing.T) ear {
	t.Helper()
	e := ear{world: w, messages: make(chan rueidis.PubSubMessage, 64)}
	w.subscribe(t, func(m rueidis.PubSubMessage) { e.messages <- m }, "PSUBSCRIBE", "*")
	return e
}

// subscribe subscribes a connection of its own to one channel or pattern.
func (w world) subscribe(t *testing.T, hear func(rueidis.PubSubMessage), command, name string) {
	t.Helper()
	conn, release := w.Dedicate()
	t.Cleanup(func() { conn.Close(); release() })
	confirmed := make(chan struct{})
	conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      hear,
		OnSubscription: func(rueidis.PubSubSubscription) { close(confirmed) },
	})
	subscribe := conn.B().Subscribe().Channel(name).Build()
	if command == "PSUBSCRIBE" {
		subscribe = conn.B().Psubscribe().Pattern(name).Build()
	}
	require.NoError(t, conn.Do(t.Context(), subscribe).Error())
	<-confirmed
}

// attend makes somebody listen on each of the channels, who never reads.
func (w world) attend(t *testing.T, channels ...string) {
	t.Helper()
	for _, name := range channels {
		w.subscribe(t, func(rueidis.PubSubMessage) {}, "SUBSCRIBE", name)
	}
}

// heard returns what has been published since the last call, each message behind its
// channel.
func (e ear) heard(t *testing.T) []string {
	t.Helper()
	const end = "end of test"
	e.world.do(t, "PUBLISH", channel, end)
	var heard []string
	for m := range e.messages {
		if m.Message == end {
			break
		}
		heard = append(heard, m.Channel+" "+m.Message)
	}
	return heard
}
