package pubsub_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"

	"github.com/go-rlock/rlock/internal/redistest"
)

// A mover is a Redis client that leads to one server and then to another, as one of a
// Sentinel does. Connections that it has set aside before are not touched.
type mover struct {
	rueidis.Client // the first

	second    rueidis.Client
	moved     atomic.Bool
	dedicated func() // called when a connection was set aside; may be nil
}

func (m *mover) now() rueidis.Client {
	if m.moved.Load() {
		return m.second
	}
	return m.Client
}

func (m *mover) Nodes() map[string]rueidis.Client { return m.now().Nodes() }

func (m *mover) Dedicate() (rueidis.DedicatedClient, func()) {
	c, release := m.now().Dedicate()
	if m.dedicated != nil {
		m.dedicated()
	}
	return c, release
}

func TestSubscriptionFollowsTheClientToAnotherServer(t *testing.T) {
	for name, mutate := range map[string]func(*rueidis.ClientOption){
		"Protocol3": func(*rueidis.ClientOption) {},
		"Protocol2": resp2,
	} {
		t.Run(name, func(t *testing.T) {
			first, second := redistest.Start(t), redistest.Start(t)
			client := &mover{Client: first.Client(t, mutate), second: second.Client(t, mutate)}
			hub := newHubOf(t, client)
			told := make(chan struct{}, 100)
			defer hub.Keep(func() { told <- struct{}{} }).Close()
			e := newEar()
			defer hub.Subscribe("news", e).Close()
			e.requireNext(t, subscribed())

			for _, s := range []*redistest.Server{second, first} {
				began := time.Now()
				client.moved.Store(s == second)
				e.requireInterrupted(t, "another server")
				e.requireNext(t, subscribed())
				assert.Less(t, time.Since(began), 5*time.Second)
				assert.Len(t, told, 1, "the keeper was told")
				<-told
				s.Do(t, "PUBLISH", "news", s.Addr())
				e.requireNext(t, message(s.Addr()))
			}
			eventually(t, func() bool { return len(connections(t, second)) == 0 }, "the old connection is closed")
			assert.Len(t, connections(t, first), 1)
			e.requireNothing(t)
		})
	}
}

// The client moves while it sets a connection aside, which may lead to either.
func TestConnectionMadeDuringAMoveIsMadeAgain(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	client := &mover{Client: first.Client(t), second: second.Client(t)}
	client.dedicated = func() { client.moved.Store(true) }
	hub := newHubOf(t, client)
	e := newEar()
	defer hub.Subscribe("news", e).Close()
	e.requireNext(t, subscribed())
	e.requireInterrupted(t, "another server")
	e.requireNext(t, subscribed())
	second.Do(t, "PUBLISH", "news", "0")
	e.requireNext(t, message("0"))
	assert.Empty(t, connections(t, first))
}

// A pilot is a Redis client with nodes that a test names.
type pilot struct {
	rueidis.Client

	nodes atomic.Pointer[map[string]rueidis.Client]
}

func (p *pilot) Nodes() map[string]rueidis.Client { return *p.nodes.Load() }

func (p *pilot) name(addrs ...string) {
	nodes := map[string]rueidis.Client{}
	for _, addr := range addrs {
		nodes[addr] = p.Client
	}
	p.nodes.Store(&nodes)
}

// Where commands may go to replicas, the client does not say which of its nodes is the
// primary.
func TestConnectionIsMadeAgainWhenANodeIsGone(t *testing.T) {
	for name, move := range map[string]struct {
		from, to []string
		again    bool
	}{
		"Another":         {[]string{"a"}, []string{"b"}, true},
		"Same":            {[]string{"a"}, []string{"a"}, false},
		"ReplicaPromoted": {[]string{"a", "b"}, []string{"b"}, true},
		"ReplicaAdded":    {[]string{"b"}, []string{"a", "b"}, false},
		"OfThree":         {[]string{"a", "c"}, []string{"b", "c"}, true},
		"Unnamed":         {nil, []string{"b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(t)
				client := &pilot{Client: w.client}
				client.name(move.from...)
				hub := newHubOf(t, client)
				e := newEar()
				hub.Subscribe("news", e)
				e.requireNext(t, subscribed())
				time.Sleep(time.Minute)
				e.requireNothing(t)
				client.name(move.to...)
				time.Sleep(500 * time.Millisecond)
				synctest.Wait()
				if move.again {
					e.requireInterrupted(t, "another server")
					e.requireNext(t, subscribed())
				}
				time.Sleep(time.Minute)
				e.requireNothing(t)
			})
		})
	}
}
