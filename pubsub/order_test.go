package pubsub_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/pubsub"
)

// A script is a server whose answers to SUBSCRIBE and UNSUBSCRIBE a test writes by hand,
// when it likes.
type script struct {
	asked chan string // the commands, as they came
	peer  chan *miniserver.Peer
}

// noPings makes a client send no pings of its own: a scripted server would answer them
// before what came earlier.
func noPings(o *rueidis.ClientOption) { o.Dialer.KeepAlive = -1 }

func scripted(w *wire) *script {
	s := &script{asked: make(chan string, 100), peer: make(chan *miniserver.Peer, 100)}
	var leaving sync.Map // *miniserver.Peer → struct{}
	w.server.Server().SetPreHook(func(c *miniserver.Peer, command string, args ...string) bool {
		switch command {
		case "PING": // the client sends one behind an UNSUBSCRIBE
			_, handled := leaving.LoadAndDelete(c)
			return handled
		case "UNSUBSCRIBE":
			leaving.Store(c, struct{}{})
		case "SUBSCRIBE":
		default:
			return false
		}
		s.asked <- strings.Join(append([]string{command}, args...), " ")
		s.peer <- c
		return true
	})
	return s
}

// requireAsked waits for a command and returns a function that writes to who sent it.
func (s *script) requireAsked(t *testing.T, command string) (say func(replies ...string)) {
	t.Helper()
	next, say := s.next(t)
	require.Equal(t, command, next)
	return say
}

func (s *script) next(t *testing.T) (command string, say func(replies ...string)) {
	t.Helper()
	synctest.Wait()
	require.NotEmpty(t, s.asked, "nothing was asked")
	command = <-s.asked
	peer := <-s.peer
	return command, func(replies ...string) {
		for _, reply := range replies {
			peer.WriteRaw(reply)
			peer.Flush()
		}
		synctest.Wait()
	}
}

func push(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ">%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b.String()
}

const (
	pong    = "+PONG\r\n"
	refusal = "-NOPERM No permissions to access a channel\r\n"
)

func join(channel string) string  { return push("subscribe", channel, "1") }
func leave(channel string) string { return push("unsubscribe", channel, "0") }

func TestChannelLeftBeforeItsConfirmationIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, noPings)
		s := scripted(w)
		e := newEar()
		sub := w.hub.Subscribe("news", e)
		say := s.requireAsked(t, "SUBSCRIBE news")
		sub.Close()
		say(join("news"))
		say = s.requireAsked(t, "UNSUBSCRIBE news")
		say(leave("news"), pong)
		e.requireNothing(t)
		assert.Zero(t, w.hub.Len())
		assert.Empty(t, s.asked)
	})
}

func TestListenerWhoComesBeforeTheConfirmationOfAnotherKeepsTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, noPings)
		s := scripted(w)
		first, second := newEar(), newEar()
		sub := w.hub.Subscribe("news", first)
		say := s.requireAsked(t, "SUBSCRIBE news")
		sub.Close()
		w.hub.Subscribe("news", second)
		say(push("message", "news", "too early"), join("news"), push("message", "news", "0"))
		second.requireNext(t, subscribed())
		second.requireNext(t, message("0"))
		first.requireNothing(t)
		assert.Empty(t, s.asked, "it is neither left nor asked for again")
	})
}

// The server confirms two channels; the second confirmation comes late, when the channel
// has been left and is wanted again.
func TestLateConfirmationIsNotThatOfALaterSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, noPings)
		s := scripted(w)
		w.down.Store(true)
		ears := map[string]*ear{"a": newEar(), "b": newEar()}
		subs := map[string]*pubsub.Subscription{}
		for name, e := range ears {
			subs[name] = w.hub.Subscribe(name, e)
		}
		ears["b"].requireInterrupted(t, "")
		ears["a"].requireInterrupted(t, "")
		w.down.Store(false)
		time.Sleep(time.Second) // both are asked for in one command
		command, say := s.next(t)
		require.Len(t, strings.Fields(command), 3, command)
		prompt, late := strings.Fields(command)[1], strings.Fields(command)[2]
		for _, e := range ears {
			for len(e.events) > 0 {
				e.requireInterrupted(t, "")
			}
		}
		say(join(prompt))
		ears[prompt].requireNext(t, subscribed())
		subs[late].Close()
		say = s.requireAsked(t, "UNSUBSCRIBE "+late)

		again := newEar()
		w.hub.Subscribe(late, again)
		say(join(late), push("message", late, "for the one who left"))
		again.requireNothing(t)
		assert.Empty(t, s.asked, "it is asked for when it was left")
		say(leave(late), pong)
		say = s.requireAsked(t, "SUBSCRIBE "+late)
		say(push("message", late, "impossible"))
		again.requireNothing(t)
		say(join(late), push("message", late, "0"))
		again.requireNext(t, subscribed())
		again.requireNext(t, message("0"))
		ears[prompt].requireNothing(t)
		ears[late].requireNothing(t)
	})
}

func TestRefusalThatNobodyWaitsForLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, noPings)
		s := scripted(w)
		e := newEar()
		sub := w.hub.Subscribe("closed", e)
		say := s.requireAsked(t, "SUBSCRIBE closed")
		sub.Close()
		say(refusal)
		if len(s.asked) > 0 {
			s.requireAsked(t, "UNSUBSCRIBE closed")(leave("closed"), pong)
		}
		e.requireNothing(t)
		assert.Zero(t, w.hub.Len())
		time.Sleep(2 * time.Second)
		assert.False(t, w.connected())
	})
}

func TestRefusedChannelIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, noPings)
		s := scripted(w)
		first, second := newEar(), newEar()
		w.hub.Subscribe("closed", first)
		s.requireAsked(t, "SUBSCRIBE closed")(refusal)
		first.requireInterrupted(t, "NOPERM")
		for range 3 {
			time.Sleep(2*time.Second - 1)
			synctest.Wait()
			assert.Empty(t, s.asked, "for two seconds it is not")
			time.Sleep(time.Nanosecond)
			s.requireAsked(t, "SUBSCRIBE closed")(refusal)
			first.requireInterrupted(t, "NOPERM")
		}
		w.hub.Subscribe("closed", second) // and when somebody comes, at once
		s.requireAsked(t, "SUBSCRIBE closed")(join("closed"))
		first.requireNext(t, subscribed())
		second.requireNext(t, subscribed())
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, s.asked)
		first.requireNothing(t)
	})
}

// The last listener of a channel goes while the connection, unknown to the hub, is dead.
func TestInterruptionForgetsChannelsThatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t)
		e := newEar()
		sub := w.hub.Subscribe("left", e)
		e.requireNext(t, subscribed())
		w.mute.Store(true)
		stays := newEar()
		other := w.hub.Subscribe("stays", stays)
		synctest.Wait() // it is being asked for
		sub.Close()
		stays.requireInterrupted(t, "")
		assert.Equal(t, 1, w.hub.Len())
		other.Close()
		assert.Zero(t, w.hub.Len())
		time.Sleep(15 * time.Second) // the attempt under way
		synctest.Wait()
		assert.Empty(t, running(), "nobody needs a connection")
		e.requireNothing(t)
	})
}
