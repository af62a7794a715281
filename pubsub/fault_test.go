package pubsub_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

func TestKilledConnectionIsToldToAllAndMadeAgain(t *testing.T) {
	for name, mutate := range map[string]func(*rueidis.ClientOption){
		"Protocol3": func(*rueidis.ClientOption) {},
		"Protocol2": resp2,
	} {
		t.Run(name, func(t *testing.T) {
			hub := newHub(t, server, mutate)
			ears := make([]*ear, 5)
			for i := range ears {
				ears[i] = newEar()
				defer hub.Subscribe(fmt.Sprint("killed:", i%3), ears[i]).Close()
				ears[i].requireNext(t, subscribed())
			}
			for range 3 {
				server.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")
				for _, e := range ears {
					e.requireInterrupted(t, "")
					e.requireSubscribedAgain(t)
				}
				assert.Len(t, connections(t, server), 1)
				for i := range 3 {
					server.Do(t, "PUBLISH", fmt.Sprint("killed:", i), "0")
				}
				for _, e := range ears {
					e.requireNext(t, message("0"))
				}
			}
		})
	}
}

func TestServerThatComesBackEmptyIsSubscribedToAgain(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s)
	e := newEar()
	defer hub.Subscribe("news", e).Close()
	e.requireNext(t, subscribed())
	s.Kill()
	e.requireInterrupted(t, "")
	e.requireInterrupted(t, "") // an attempt in vain
	late := newEar()
	defer hub.Subscribe("late", late).Close()
	late.requireInterrupted(t, "")
	s.Restart(t)
	e.requireSubscribedAgain(t)
	late.requireSubscribedAgain(t)
	s.Do(t, "PUBLISH", "late", "0")
	late.requireNext(t, message("0"))
}

func TestServerThatFallsSilentInterruptsWithinTheAnswerLimit(t *testing.T) {
	for name, mutate := range map[string]func(*rueidis.ClientOption){
		"Protocol3": func(*rueidis.ClientOption) {},
		"Protocol2": resp2,
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			hub := newHub(t, s, mutate)
			hub.SetAnswerLimit(200 * time.Millisecond)
			e := newEar()
			defer hub.Subscribe("news", e).Close()
			e.requireSubscribedAgain(t) // on a slow machine not the first time

			s.Pause(t)
			began := time.Now()
			late := newEar()
			defer hub.Subscribe("late", late).Close()
			e.requireInterrupted(t, "does not answer")
			late.requireInterrupted(t, "")
			assert.Less(t, time.Since(began), 4*time.Second)
			late.requireInterrupted(t, "") // an attempt in vain, which takes as long as rueidis likes

			s.Resume(t)
			e.requireSubscribedAgain(t)
			late.requireSubscribedAgain(t)
			s.Do(t, "PUBLISH", "news", "0")
			e.requireNext(t, message("0"))
		})
	}
}

func TestServerThatIsSilentFromTheStartInterruptsWithinTheAnswerLimit(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s)
	hub.SetAnswerLimit(200 * time.Millisecond)
	s.Pause(t)
	e := newEar()
	began := time.Now()
	defer hub.Subscribe("news", e).Close()
	e.requireInterrupted(t, "does not answer")
	assert.Less(t, time.Since(began), 4*time.Second)
	e.requireInterrupted(t, "")
	s.Resume(t)
	e.requireSubscribedAgain(t)
}

// A server that runs a script for too long refuses every other command for the time
// being. That is no reason to give a channel up.
func TestBusyServerIsAskedAgain(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s)
	e := newEar()
	defer hub.Subscribe("news", e).Close()
	e.requireNext(t, subscribed())

	s.Do(t, "CONFIG", "SET", "lua-time-limit", "10")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = s.Call(ctx, "EVAL", "while true do end", "0") // is killed
	}()
	eventually(t, func() bool {
		_, err := s.Call(t.Context(), "GET", "k")
		return err != nil
	}, "the server is busy")
	late := newEar()
	defer hub.Subscribe("late", late).Close()
	late.requireInterrupted(t, "BUSY")
	s.Do(t, "SCRIPT", "KILL")
	<-over
	late.requireSubscribedAgain(t)
	s.Do(t, "PUBLISH", "late", "0")
	late.requireNext(t, message("0"))
}

// restrict makes a user of the server that has only these rights and those that any
// connection needs, and returns a change of a client's options that makes it that user.
func restrict(t *testing.T, s *redistest.Server, rights ...string) func(*rueidis.ClientOption) {
	t.Helper()
	s.Do(t, append([]string{
		"ACL", "SETUSER", "restricted", "reset", "on", ">secret", "-@all",
		"+hello", "+client", "+ping", "+subscribe", "+unsubscribe",
	}, rights...)...)
	return func(o *rueidis.ClientOption) { o.Username, o.Password = "restricted", "secret" }
}

func TestRefusedChannelIsToldToItsListenersOnly(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s, restrict(t, s, "&open:*"))
	before := newEar()
	defer hub.Subscribe("open:before", before).Close()
	before.requireNext(t, subscribed())
	connection := connections(t, s)

	const channels = 600 // more than one command's
	ears := make([]*ear, channels)
	for i := range ears {
		ears[i] = newEar()
		name := fmt.Sprint("open:", i)
		if i%200 == 7 {
			name = fmt.Sprint("closed:", i)
		}
		defer hub.Subscribe(name, ears[i]).Close()
	}
	for i, e := range ears {
		if i%200 == 7 {
			e.requireInterrupted(t, "NOPERM")
		} else {
			e.requireNext(t, subscribed())
		}
	}
	for i, e := range ears {
		if i%200 != 7 {
			e.requireNothing(t)
			s.Do(t, "PUBLISH", fmt.Sprint("open:", i), "0")
			e.requireNext(t, message("0"))
		}
	}
	before.requireNothing(t)

	// What was refused is asked for again.
	s.Do(t, "ACL", "SETUSER", "restricted", "&closed:*")
	for _, i := range []int{7, 207, 407} {
		ears[i].requireSubscribedAgain(t)
	}
	assert.Equal(t, connection, connections(t, s), "the connection was never given up")
}

func TestRefusedChannelIsForgottenWithItsListeners(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s, restrict(t, s, "&open:*"))
	e := newEar()
	sub := hub.Subscribe("closed", e)
	e.requireInterrupted(t, "")
	sub.Close()
	assert.Zero(t, hub.Len())
	for range 100 { // who leaves before the refusal comes
		hub.Subscribe("closed", deaf{}).Close()
	}
	eventually(t, func() bool { return hub.Len() == 0 }, "nothing is left")
}

func TestRefusedUnsubscribeInterruptsNobody(t *testing.T) {
	s := redistest.Start(t)
	hub := newHub(t, s, restrict(t, s, "allchannels", "-unsubscribe"))
	stays, leaves := newEar(), newEar()
	defer hub.Subscribe("a", stays).Close()
	sub := hub.Subscribe("b", leaves)
	stays.requireNext(t, subscribed())
	leaves.requireNext(t, subscribed())
	sub.Close()
	s.Do(t, "PUBLISH", "b", "1")
	s.Do(t, "PUBLISH", "a", "2")
	stays.requireNext(t, message("2"))
	defer hub.Subscribe("b", leaves).Close()
	leaves.requireNext(t, subscribed())
	s.Do(t, "PUBLISH", "b", "3")
	leaves.requireNext(t, message("3"))
	stays.requireNothing(t)
}

func TestClosedRedisClientIsAnInterruption(t *testing.T) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true})
	require.NoError(t, err)
	hub := newHubOf(t, client)
	e := newEar()
	defer hub.Subscribe("news", e).Close()
	e.requireNext(t, subscribed())
	client.Close()
	sub := hub.Subscribe("late", newEar())
	server.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")
	e.requireInterrupted(t, "")
	e.requireInterrupted(t, rueidis.ErrClosing.Error())
	sub.Close()
}
