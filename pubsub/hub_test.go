package pubsub_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/pubsub"
)

func TestMessagesComeAfterTheConfirmationInTheirOrder(t *testing.T) {
	for name, connect := range servers {
		t.Run(name, func(t *testing.T) {
			hub, publish := connect(t)
			publish("news", "before anybody listened")
			e := newEar()
			defer hub.Subscribe("news", e).Close()
			e.requireNext(t, subscribed())
			for i := range 1000 {
				publish("news", fmt.Sprint(i))
			}
			for i := range 1000 {
				e.requireNext(t, message(fmt.Sprint(i)))
			}
		})
	}
}

func TestEveryListenerOfAChannelHearsEveryMessageAndNoOther(t *testing.T) {
	for name, connect := range servers {
		t.Run(name, func(t *testing.T) {
			hub, publish := connect(t)
			first, second, stranger := newEar(), newEar(), newEar()
			a := hub.Subscribe("a", first)
			defer hub.Subscribe("b", stranger).Close()
			first.requireNext(t, subscribed())
			stranger.requireNext(t, subscribed())
			defer hub.Subscribe("a", second).Close()
			assert.Len(t, second.events, 1, "the channel is subscribed already: confirmed before Subscribe returns")
			second.requireNext(t, subscribed())
			assert.Equal(t, 2, hub.Len())

			publish("a", "1")
			first.requireNext(t, message("1"))
			second.requireNext(t, message("1"))
			a.Close()
			publish("a", "2")
			publish("b", "3")
			second.requireNext(t, message("2"))
			stranger.requireNext(t, message("3"))
			first.requireNothing(t)
			second.requireNothing(t)
		})
	}
}

func TestOneListenerMayListenTwice(t *testing.T) {
	for name, connect := range servers {
		t.Run(name, func(t *testing.T) {
			hub, publish := connect(t)
			e := newEar()
			one, two := hub.Subscribe("a", e), hub.Subscribe("a", e)
			e.requireNext(t, subscribed())
			e.requireNext(t, subscribed())
			one.Close()
			one.Close()
			publish("a", "1")
			e.requireNext(t, message("1"))
			two.Close()
			e.requireNothing(t)
		})
	}
}

func TestChannelIsSubscribedOnceAndLeftWithTheLastListener(t *testing.T) {
	hub := newHub(t, server)
	ears := make([]*ear, 10)
	subs := make([]*pubsub.Subscription, len(ears))
	server.ResetStats(t)
	for i := range ears {
		ears[i] = newEar()
		subs[i] = hub.Subscribe("shared", ears[i])
	}
	for _, e := range ears {
		e.requireNext(t, subscribed())
	}
	assert.Equal(t, 1, subscribers(t, server, "shared"))
	assert.EqualValues(t, 1, server.CommandStats(t)["subscribe"].Calls)
	for _, sub := range subs[1:] {
		sub.Close()
	}
	server.Do(t, "PUBLISH", "shared", "still there")
	ears[0].requireNext(t, message("still there"))
	assert.Zero(t, server.CommandStats(t)["unsubscribe"].Calls)

	subs[0].Close()
	eventually(t, func() bool { return subscribers(t, server, "shared") == 0 }, "the channel is left")
	eventually(t, func() bool { return hub.Len() == 0 }, "and forgotten")
	assert.EqualValues(t, 1, server.CommandStats(t)["unsubscribe"].Calls)
}

func Test20000ChannelsShareOneConnection(t *testing.T) {
	const channels = 20_000
	s := redistest.Start(t)
	hub := newHub(t, s)
	name := func(i int) string { return fmt.Sprint("channel:", i) }
	ears, subs := make([]*quietEar, channels), make([]*pubsub.Subscription, channels)
	var confirmed sync.WaitGroup
	confirmed.Add(channels)
	for i := range channels {
		ears[i] = &quietEar{confirmed: &confirmed}
		subs[i] = hub.Subscribe(name(i), ears[i])
	}
	confirmed.Wait()
	assert.Len(t, connections(t, s), 1)
	assert.Equal(t, channels, hub.Len())
	all, ok := s.Do(t, "PUBSUB", "CHANNELS").([]any)
	require.True(t, ok)
	assert.Len(t, all, channels)
	assert.LessOrEqual(t, s.CommandStats(t)["subscribe"].Calls, int64(200), "many channels in one command")

	for i := 0; i < channels; i += 100 {
		e := newEar()
		sub := hub.Subscribe(name(i), e)
		e.requireNext(t, subscribed())
		s.Do(t, "PUBLISH", name(i), name(i))
		e.requireNext(t, message(name(i)))
		sub.Close()
	}
	for i, e := range ears {
		want := 0
		if i%100 == 0 {
			want = 1
		}
		require.Equal(t, want, e.heard(), "messages on %s", name(i))
	}
	for _, sub := range subs {
		sub.Close()
	}
	eventually(t, func() bool {
		left, ok := s.Do(t, "PUBSUB", "CHANNELS").([]any)
		return ok && len(left) == 0
	}, "every channel is left")
	assert.Zero(t, hub.Len())
}

// A quietEar counts.
type quietEar struct {
	confirmed *sync.WaitGroup

	mu       sync.Mutex
	messages int
}

func (e *quietEar) Subscribed() { e.confirmed.Done() }

func (e *quietEar) Message(string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.messages++
}

func (e *quietEar) Interrupted(error) {}

func (e *quietEar) heard() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.messages
}

func TestMessagesArriveWhateverTheyAre(t *testing.T) {
	for name, connect := range servers {
		t.Run(name, func(t *testing.T) {
			hub, publish := connect(t)
			for name, payload := range map[string]string{
				"Empty":      "",
				"Megabyte":   strings.Repeat("0123456789abcdef", 1<<16),
				"Binary":     "\x00\xff\r\n$-1\r\n",
				"Text":       "hello",
				"Subscribe":  "subscribe",
				"Pong":       "pong",
				"LongNumber": strings.Repeat("9", 100),
			} {
				channel := "payload:" + name
				e := newEar()
				sub := hub.Subscribe(channel, e)
				e.requireNext(t, subscribed())
				publish(channel, payload)
				publish(channel, "0")
				e.requireNext(t, message(payload))
				e.requireNext(t, message("0"))
				sub.Close()
			}
		})
	}
}

func TestChannelNamesMayBeAnything(t *testing.T) {
	for name, connect := range servers {
		t.Run(name, func(t *testing.T) {
			hub, publish := connect(t)
			for _, channel := range []string{"", "pong", "subscribe", "two words", "\x00\xff\r\n", strings.Repeat("x", 64<<10), "pat*ern?[a]"} {
				e := newEar()
				sub := hub.Subscribe(channel, e)
				e.requireNext(t, subscribed())
				publish(channel, "0")
				e.requireNext(t, message("0"))
				sub.Close()
			}
		})
	}
}
