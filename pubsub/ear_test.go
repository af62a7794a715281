package pubsub_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/pubsub"
)

// patience is how long these tests wait for what must happen.
const patience = 30 * time.Second

// An event is one call of a listener.
type event struct {
	kind    string // "subscribed", "message" or "interrupted"
	payload string
	err     error
}

func subscribed() event            { return event{kind: "subscribed"} }
func message(payload string) event { return event{kind: "message", payload: payload} }

// An ear is a listener that remembers what it hears until a test asks for it.
type ear struct {
	events chan event
}

func newEar() *ear { return &ear{events: make(chan event, 1<<14)} }

func (e *ear) Subscribed()            { e.events <- subscribed() }
func (e *ear) Message(payload string) { e.events <- message(payload) }
func (e *ear) Interrupted(err error)  { e.events <- event{kind: "interrupted", err: err} }

// next waits for the next event.
func (e *ear) next(tb testing.TB) event {
	tb.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case ev := <-e.events:
		return ev
	case <-limit.C:
		tb.Fatal("the listener hears nothing")
		return event{}
	}
}

func (e *ear) requireNext(tb testing.TB, want event) {
	tb.Helper()
	require.Equal(tb, want, e.next(tb))
}

// requireInterrupted waits for an interruption whose reason contains why.
func (e *ear) requireInterrupted(tb testing.TB, why string) {
	tb.Helper()
	ev := e.next(tb)
	require.Equal(tb, "interrupted", ev.kind, "%+v", ev)
	require.ErrorContains(tb, ev.err, why)
	assert.NotErrorIs(tb, ev.err, context.DeadlineExceeded, "that of nobody's context")
	assert.NotErrorIs(tb, ev.err, context.Canceled, "that of nobody's context")
}

// requireSubscribedAgain waits for the next confirmation, through any number of
// interruptions.
func (e *ear) requireSubscribedAgain(tb testing.TB) {
	tb.Helper()
	for ev := e.next(tb); ev.kind != "subscribed"; ev = e.next(tb) {
		require.Equal(tb, "interrupted", ev.kind, "%+v", ev)
	}
}

// requireNothing checks that nothing has been heard that nobody asked for.
func (e *ear) requireNothing(tb testing.TB) {
	tb.Helper()
	select {
	case ev := <-e.events:
		require.Fail(tb, "the listener heard something", "%+v", ev)
	default:
	}
}

// newHub returns a hub of the real server, closed when the test is over.
func newHub(tb testing.TB, s *redistest.Server, mutate ...func(*rueidis.ClientOption)) *pubsub.Hub {
	tb.Helper()
	hub := pubsub.NewHub(s.Client(tb, mutate...))
	tb.Cleanup(hub.Close)
	return hub
}

// servers are the one in this process, the real one, and the real one in version 2 of
// the protocol: each makes a hub and a function that publishes.
var servers = map[string]func(*testing.T) (hub *pubsub.Hub, publish func(channel, payload string)){
	"Embedded": func(t *testing.T) (*pubsub.Hub, func(channel, payload string)) {
		t.Helper()
		_, client := bubble.New(t)
		return hubAndPublisher(t, client())
	},
	"Real": func(t *testing.T) (*pubsub.Hub, func(channel, payload string)) {
		t.Helper()
		return hubAndPublisher(t, server.Client(t))
	},
	"RealProtocol2": func(t *testing.T) (*pubsub.Hub, func(channel, payload string)) {
		t.Helper()
		return hubAndPublisher(t, server.Client(t, resp2))
	},
}

func hubAndPublisher(t *testing.T, client rueidis.Client) (*pubsub.Hub, func(channel, payload string)) {
	t.Helper()
	return newHubOf(t, client), func(channel, payload string) {
		t.Helper()
		publish := client.B().Publish().Channel(channel).Message(payload).Build()
		require.NoError(t, client.Do(t.Context(), publish).Error())
	}
}

func resp2(o *rueidis.ClientOption) { o.AlwaysRESP2 = true }

// subscribers returns how many connections the server counts on a channel.
func subscribers(tb testing.TB, s *redistest.Server, channel string) int {
	tb.Helper()
	reply, ok := s.Do(tb, "PUBSUB", "NUMSUB", channel).([]any)
	require.True(tb, ok)
	require.Len(tb, reply, 2)
	n, ok := reply[1].(int64)
	require.True(tb, ok)
	return int(n)
}

// connections returns the ids of the connections that have subscribed to something.
func connections(tb testing.TB, s *redistest.Server) []string {
	tb.Helper()
	list, ok := s.Do(tb, "CLIENT", "LIST", "TYPE", "pubsub").(string)
	require.True(tb, ok)
	ids := []string{}
	for line := range strings.Lines(list) {
		ids = append(ids, strings.Fields(line)[0])
	}
	return ids
}

// eventually waits until the condition holds.
func eventually(tb testing.TB, condition func() bool, why string) {
	tb.Helper()
	limit := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(limit) {
			require.Fail(tb, "it does not come about: "+why)
		}
		time.Sleep(time.Millisecond)
	}
}
