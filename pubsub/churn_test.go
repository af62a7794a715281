package pubsub_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-rlock/rlock/pubsub"
)

// Each worker subscribes, waits for the confirmation, has something published, and must
// hear it, while the others do the same with the same few channels: so all the time some
// channel is being left while somebody comes back to it.
func TestResubscribingNeverLosesAMessage(t *testing.T) {
	hub := newHub(t, server)
	client := server.Client(t)
	var workers sync.WaitGroup
	for w := range 6 {
		workers.Go(func() {
			for i := range 250 {
				channel := fmt.Sprint("churn:", rand.N(3))
				mine := fmt.Sprint(w, "/", i)
				e := newEar()
				sub := hub.Subscribe(channel, e)
				limit := time.After(patience)
				published := false
				for heard := false; !heard; {
					select {
					case ev := <-e.events:
						switch {
						case ev.kind == "interrupted":
							assert.NoError(t, ev.err)
							return
						case !published && ev.kind == "message":
							assert.Fail(t, "a message before the confirmation")
							return
						case ev.kind == "subscribed":
							published = true
							err := client.Do(t.Context(), client.B().Publish().Channel(channel).Message(mine).Build()).Error()
							if !assert.NoError(t, err) {
								return
							}
						case ev.payload == mine:
							heard = true
						}
					case <-limit:
						assert.Fail(t, "the message is lost", "channel %s, %d listen", channel, hub.Len())
						return
					}
				}
				sub.Close()
				if n := len(e.events); n > 0 {
					for range n {
						<-e.events // what others published meanwhile
					}
				}
				if rand.N(3) == 0 {
					time.Sleep(rand.N(time.Millisecond)) // so that now and then nobody listens
				}
				if len(e.events) > 0 {
					assert.Fail(t, "heard something after Close")
					return
				}
			}
		})
	}
	workers.Wait()
	eventually(t, func() bool { return hub.Len() == 0 }, "every channel is left")
	eventually(t, func() bool {
		return subscribers(t, server, "churn:0")+subscribers(t, server, "churn:1")+subscribers(t, server, "churn:2") == 0
	}, "and the server knows")
}

func TestChannelLeftBeforeItsConfirmationIsNotKept(t *testing.T) {
	hub := newHub(t, server)
	e := newEar()
	for i := range 2000 {
		hub.Subscribe(fmt.Sprint("brief:", i%7), e).Close()
	}
	eventually(t, func() bool { return hub.Len() == 0 }, "every channel is left")
	for i := range 7 {
		eventually(t, func() bool { return subscribers(t, server, fmt.Sprint("brief:", i)) == 0 }, "and the server knows")
	}
	// And the last ones to come stay.
	last := newEar()
	sub := hub.Subscribe("brief:0", e)
	defer hub.Subscribe("brief:0", last).Close()
	sub.Close()
	last.requireNext(t, subscribed())
	server.Do(t, "PUBLISH", "brief:0", "0")
	last.requireNext(t, message("0"))
}

func TestMessagesSurviveTheKillingOfConnectionsUnderLoad(t *testing.T) {
	hub := newHub(t, server)
	stop := make(chan struct{})
	var churn sync.WaitGroup
	for range 3 {
		churn.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					sub := hub.Subscribe(fmt.Sprint("storm:", rand.N(5)), deaf{})
					time.Sleep(rand.N(200 * time.Microsecond))
					sub.Close()
				}
			}
		})
	}
	steady := newEar()
	defer hub.Subscribe("storm:0", steady).Close()
	steady.requireSubscribedAgain(t)
	for range 6 {
		server.Do(t, "CLIENT", "KILL", "TYPE", "pubsub")
		steady.requireInterrupted(t, "")
		steady.requireSubscribedAgain(t)
		server.Do(t, "PUBLISH", "storm:0", "0")
		steady.requireNext(t, message("0"))
	}
	close(stop)
	churn.Wait()
	eventually(t, func() bool { return hub.Len() == 1 }, "only the steady one is left")
}

type deaf struct{}

var _ pubsub.Listener = deaf{}

func (deaf) Subscribed()       {}
func (deaf) Message(string)    {}
func (deaf) Interrupted(error) {}
