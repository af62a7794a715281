package pubsub_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/pubsub"
)

func newHubOf(tb testing.TB, client rueidis.Client) *pubsub.Hub {
	tb.Helper()
	hub := pubsub.NewHub(client)
	tb.Cleanup(hub.Close)
	return hub
}

// requireClosed checks that the last thing an ear heard is that the hub was closed, and
// that it heard so once.
func requireClosed(t *testing.T, e *ear) {
	t.Helper()
	closed := event{kind: "interrupted", err: pubsub.ErrClosed}
	for ev := e.next(t); ev != closed; ev = e.next(t) {
		require.NotErrorIs(t, ev.err, pubsub.ErrClosed)
	}
	e.requireNothing(t)
}

func TestCloseTellsEveryListenerAndLeavesNoConnection(t *testing.T) {
	hub := newHub(t, server)
	ears := make([]*ear, 20)
	subs := make([]*pubsub.Subscription, len(ears))
	for i := range ears {
		ears[i] = newEar()
		subs[i] = hub.Subscribe(fmt.Sprint("closed:", i%7), ears[i])
	}
	for _, e := range ears {
		e.requireNext(t, subscribed())
	}
	keeper := hub.Keep(func() {})
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(hub.Close)
	}
	calls.Wait()
	for _, e := range ears {
		e.requireNext(t, event{kind: "interrupted", err: pubsub.ErrClosed})
		e.requireNothing(t)
	}
	assert.Zero(t, hub.Len())
	assert.Empty(t, running())
	eventually(t, func() bool { return len(connections(t, server)) == 0 }, "the connection is closed")

	hub.Close()
	for _, sub := range subs {
		sub.Close()
		sub.Close()
	}
	keeper.Close()
	for _, e := range ears {
		e.requireNothing(t)
	}
}

func TestClosedHubRefusesListeners(t *testing.T) {
	hub := newHub(t, server)
	hub.Close()
	e := newEar()
	sub := hub.Subscribe("news", e)
	e.requireNext(t, event{kind: "interrupted", err: pubsub.ErrClosed})
	sub.Close()
	hub.Keep(func() { assert.Fail(t, "reconnected") }).Close()
	assert.Zero(t, hub.Len())
	assert.Empty(t, running())
}

func TestCloseDoesNotWaitForASilentServer(t *testing.T) {
	for name, busy := range map[string]func(hub *pubsub.Hub, s *redistest.Server, e *ear){
		"Idle": func(hub *pubsub.Hub, s *redistest.Server, e *ear) {
			hub.Subscribe("news", e)
			e.requireNext(t, subscribed())
			s.Pause(t)
		},
		"WhileSubscribing": func(hub *pubsub.Hub, s *redistest.Server, e *ear) {
			hub.Subscribe("news", newEar())
			hub.Subscribe("news", e)
			e.requireNext(t, subscribed())
			s.Pause(t)
			hub.Subscribe("more", newEar())
		},
		"WhileConnecting": func(hub *pubsub.Hub, s *redistest.Server, e *ear) {
			s.Pause(t)
			hub.Subscribe("news", e)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			hub := newHub(t, s)
			hub.SetAnswerLimit(time.Minute)
			e := newEar()
			busy(hub, s, e)
			began := time.Now()
			hub.Close()
			assert.Less(t, time.Since(began), 15*time.Second, "less than the answer limit")
			requireClosed(t, e)
			s.Resume(t)
			eventually(t, func() bool { return len(running()) == 0 }, "no goroutine is left")
			eventually(t, func() bool { return len(connections(t, s)) == 0 }, "no connection is left")
		})
	}
}

func TestCloseDoesNotWaitForAServerThatIsDown(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s)
	e := newEar()
	hub.Subscribe("news", e)
	e.requireNext(t, subscribed())
	s.Kill()
	for range 3 {
		e.requireInterrupted(t, "")
	}
	hub.Close()
	requireClosed(t, e)
	assert.Empty(t, running())
}

func TestCloseUnderLoadTellsEverybodyOnceAndLeavesNothing(t *testing.T) {
	client := server.Client(t)
	for range 30 {
		hub := pubsub.NewHub(client)
		var workers sync.WaitGroup
		for w := range 4 {
			workers.Go(func() {
				for range 20 {
					e := newEar()
					hub.Subscribe(fmt.Sprint("load:", rand.N(3)), deaf{}).Close()
					keeper := hub.Keep(func() {})
					sub := hub.Subscribe(fmt.Sprint("load:", w%3), e)
					if rand.N(2) == 0 {
						e.next(t)
					}
					sub.Close()
					keeper.Close()
					after := len(e.events)
					if hub.Len(); len(e.events) != after {
						assert.Fail(t, "heard something after Close of the subscription")
					}
				}
			})
		}
		last := newEar()
		hub.Subscribe("last", last)
		if rand.N(2) == 0 {
			time.Sleep(rand.N(5 * time.Millisecond))
		}
		hub.Close()
		requireClosed(t, last)
		workers.Wait()
		hub.Close()
		require.Zero(t, hub.Len())
		require.Empty(t, running())
	}
	eventually(t, func() bool { return len(connections(t, server)) == 0 }, "no connection is left")
}
