package pubsub

import (
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
)

// A count is a listener that counts.
type count struct{ subscribed, messages, interrupted int }

func (c *count) Subscribed()       { c.subscribed++ }
func (c *count) Message(string)    { c.messages++ }
func (c *count) Interrupted(error) { c.interrupted++ }

func TestWhatAnOldConnectionStillDeliversIsIgnored(t *testing.T) {
	h := NewHub(nil)
	heard := new(count)
	topic := &topic{channel: "news", state: requested}
	topic.listeners = []*Subscription{{hub: h, topic: topic, listener: heard}}
	h.topics["news"] = topic
	h.adopt(2)
	confirm := func(attempt uint64, kind string) {
		h.confirmed(attempt, rueidis.PubSubSubscription{Kind: kind, Channel: "news"})
	}
	say := func(attempt uint64) { h.message(attempt, rueidis.PubSubMessage{Channel: "news"}) }

	confirm(1, "subscribe")
	confirm(2, "unsubscribe")
	say(1)
	say(2)
	assert.Equal(t, count{}, *heard)
	confirm(2, "subscribe")
	confirm(2, "subscribe")
	say(1)
	assert.Equal(t, count{subscribed: 1}, *heard)
	say(2)
	assert.Equal(t, count{subscribed: 1, messages: 1}, *heard)
}
