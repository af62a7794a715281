package pubsub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// ErrClosed means that the Hub was closed.
var ErrClosed = errors.New("rlock: pubsub hub is closed")

// A Listener is told what happens on one channel. Its methods must not block; see
// the package documentation.
type Listener interface {
	// Subscribed is called when the server has confirmed the subscription, the
	// first time and after each interruption.
	Subscribed()
	// Message is called with each message.
	Message(payload string)
	// Interrupted is called when messages may be missing from now on: the
	// connection broke, could not be made, or the server refused to subscribe.
	// It is called again with each vain attempt to recover.
	Interrupted(err error)
}

// A Hub is the switchboard between one connection and many listeners. Its methods
// may be called by several goroutines at once. None but Close blocks.
type Hub struct {
	client rueidis.Client
	limits limits

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wake chan struct{} // one slot: something is to be done for the running loop
	wg   sync.WaitGroup

	mu       sync.Mutex // protects what follows, and the fields of every topic
	topics   map[string]*topic
	changed  []*topic // topics of which the server has to be told something
	keepers  map[*Keeper]struct{}
	attached bool   // a loop is running
	attempts uint64 // counts attempts to connect
	conn     uint64 // the attempt that made the connection: what older ones still deliver is ignored
	closed   bool
}

// limits are the times that a Hub goes by. Tests make them shorter.
type limits struct {
	// linger is how long an unused connection is kept.
	linger time.Duration
	// answer is how long the server may take to confirm or refuse.
	answer time.Duration
	// parting is how long Close waits for a connection in the making. It is longer than the
	// second that the Redis client takes to close one to a silent server.
	parting time.Duration
}

// A topic is one channel and those who listen to it.
type topic struct {
	channel   string
	listeners []*Subscription
	state     topicState
}

// topicState is what the server was told of a channel, and what it answered.
type topicState int

const (
	idle       topicState = iota // the server knows nothing of it
	requested                    // SUBSCRIBE was sent
	subscribed                   // and confirmed
)

// A Subscription ties a Listener to a channel.
type Subscription struct {
	hub      *Hub
	topic    *topic
	listener Listener
}

// A Keeper keeps the Hub's connection open while nothing is subscribed, and is told
// when it was made again.
type Keeper struct {
	hub         *Hub
	reconnected func()
}

// NewHub returns a Hub that takes its connection from client. It does no I/O.
func NewHub(client rueidis.Client) *Hub {
	h := &Hub{
		client:  client,
		limits:  limits{linger: 2 * time.Second, answer: 5 * time.Second, parting: 1500 * time.Millisecond},
		wake:    make(chan struct{}, 1),
		topics:  make(map[string]*topic),
		keepers: make(map[*Keeper]struct{}),
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// Subscribe makes listener hear what is published on channel, from the next
// Listener.Subscribed on. It does not wait for the server. If the channel is
// subscribed already, Subscribed is called before Subscribe returns. On a Hub that
// is closed, Interrupted is called with ErrClosed.
func (h *Hub) Subscribe(channel string, listener Listener) *Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		listener.Interrupted(ErrClosed)
		return &Subscription{hub: h, topic: &topic{channel: channel}, listener: listener}
	}
	t := h.topics[channel]
	if t == nil {
		t = &topic{channel: channel}
		h.topics[channel] = t
	}
	s := &Subscription{hub: h, topic: t, listener: listener}
	t.listeners = append(t.listeners, s)
	switch t.state {
	case idle:
		h.changedLocked(t)
	case subscribed:
		listener.Subscribed()
	}
	return s
}

// Close ends the subscription: when it returns, the listener hears nothing more. It
// may be called again.
func (s *Subscription) Close() {
	h, t := s.hub, s.topic
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(t.listeners, s)
	if i < 0 {
		return
	}
	t.listeners = slices.Delete(t.listeners, i, i+1)
	if len(t.listeners) > 0 || h.topics[t.channel] != t {
		return
	}
	if t.state == idle {
		delete(h.topics, t.channel)
		h.nudge() // the connection may be of no use any more
		return
	}
	h.changedLocked(t)
}

// Keep keeps the connection open until Keeper.Close and calls reconnected each time
// it was made again after an interruption. The rules for listeners apply.
func (h *Hub) Keep(reconnected func()) *Keeper {
	k := &Keeper{hub: h, reconnected: reconnected}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.keepers[k] = struct{}{}
		h.attachLocked()
	}
	return k
}

// Close lets the connection go if nothing else needs it. It may be called again.
func (k *Keeper) Close() {
	k.hub.mu.Lock()
	defer k.hub.mu.Unlock()
	delete(k.hub.keepers, k)
	k.hub.nudge()
}

// Len returns the number of channels that are subscribed or about to be.
func (h *Hub) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.topics)
}

// Close closes the connection and waits until the Hub's goroutines have left. Every
// listener hears Interrupted with ErrClosed, and nothing after it. Close may be called
// again.
//
// Close waits for two seconds at most where the server does not answer. Should a
// connection be in the making then, it is closed when it is there or when the Redis
// client gives up: that cannot be hurried.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		h.interruptLocked(ErrClosed)
		clear(h.topics)
		clear(h.keepers)
		h.changed = nil
	}
	h.mu.Unlock()
	h.stop()
	h.wg.Wait()
}

// changedLocked makes the loop look at the topic.
func (h *Hub) changedLocked(t *topic) {
	h.changed = append(h.changed, t)
	h.attachLocked()
}

func (h *Hub) attachLocked() {
	if !h.attached {
		h.attached = true
		h.wg.Go(h.loop)
	}
	h.nudge()
}

func (h *Hub) nudge() {
	select {
	case h.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// detach reports whether the loop may end, because nobody needs it, and then counts
// it as ended.
func (h *Hub) detach() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.neededLocked() {
		return false
	}
	h.attached = false
	return true
}

func (h *Hub) needed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.neededLocked()
}

// neededLocked reports whether anybody needs the connection. Once the Hub is closed,
// nobody does.
func (h *Hub) neededLocked() bool { return len(h.topics) > 0 || len(h.keepers) > 0 }

// interrupted tells every listener that messages may be missing.
func (h *Hub) interrupted(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.interruptLocked(err)
}

func (h *Hub) interruptLocked(err error) {
	for _, t := range h.topics {
		t.state = idle
		if len(t.listeners) == 0 {
			delete(h.topics, t.channel)
		}
		for _, s := range t.listeners {
			s.listener.Interrupted(err)
		}
	}
}

// adopt makes an attempt's connection the present one, on which nothing is subscribed
// yet.
func (h *Hub) adopt(attempt uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = attempt
	h.changed = h.changed[:0]
	for _, t := range h.topics {
		h.changed = append(h.changed, t)
	}
}

// reconnected tells the keepers.
func (h *Hub) reconnected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range h.keepers {
		k.reconnected()
	}
}

// changes takes the topics that changed and says which channels to subscribe and
// which to leave. Leaving is confirmed before the same channel can be subscribed again,
// so that no late confirmation is taken for that of a later subscription.
func (h *Hub) changes() (join, leave []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed := h.changed
	h.changed = nil
	for _, t := range changed {
		if h.topics[t.channel] != t {
			continue // left already
		}
		switch wanted := len(t.listeners) > 0; {
		case wanted && t.state == idle:
			t.state = requested
			join = append(join, t.channel)
		case !wanted:
			leave = append(leave, t.channel)
			delete(h.topics, t.channel)
		}
	}
	return join, leave
}

// askAgain makes the loop ask for the channels that the server has refused.
func (h *Hub) askAgain() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.topics {
		if t.state == idle {
			h.changed = append(h.changed, t)
		}
	}
}

// refused tells the listeners of a channel and puts the topic back to idle. The server
// is asked again after a while, and when somebody subscribes to it next.
func (h *Hub) refused(channel string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[channel]
	if t == nil {
		return
	}
	t.state = idle
	for _, s := range t.listeners {
		s.listener.Interrupted(err)
	}
}

// confirmed is called by the reader of an attempt's connection.
func (h *Hub) confirmed(attempt uint64, s rueidis.PubSubSubscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[s.Channel]
	if s.Kind != "subscribe" || attempt != h.conn || t == nil || t.state != requested {
		return
	}
	t.state = subscribed
	for _, s := range t.listeners {
		s.listener.Subscribed()
	}
}

// message is called by the reader of an attempt's connection.
func (h *Hub) message(attempt uint64, m rueidis.PubSubMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[m.Channel]
	if attempt != h.conn || t == nil || t.state != subscribed {
		return // nobody was told that messages would come
	}
	for _, s := range t.listeners {
		s.listener.Message(m.Message)
	}
}
