package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// linger is how long an unused connection is kept.
	linger = 2 * time.Second
	// answerLimit is how long the server may take to confirm or refuse.
	answerLimit = 5 * time.Second
	// batch is the number of channels in one SUBSCRIBE.
	batch = 256

	firstPause   = 20 * time.Millisecond
	longestPause = time.Second
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

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wake chan struct{} // one slot: something is to be done for the running loop
	wg   sync.WaitGroup

	mu       sync.Mutex // protects what follows, and the fields of every topic
	topics   map[string]*topic
	changed  []*topic // topics of which the server has to be told something
	keepers  map[*Keeper]struct{}
	attached bool   // a loop is running
	conn     uint64 // counts connections: what an old one still delivers is ignored
	closed   bool
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
	if len(t.listeners) == 0 && !h.closed {
		h.changedLocked(t)
	}
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

// Close closes the connection and waits until the Hub's goroutine has left. Every
// listener hears Interrupted with ErrClosed. It may be called again.
func (h *Hub) Close() {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		h.interruptLocked(ErrClosed)
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

// loop owns the connection: it makes it, uses it, and makes it again, until nobody
// has needed it for a while.
func (h *Hub) loop() {
	pause := firstPause
	for again := false; ; again = true {
		served, err := h.connect(again)
		if err == nil {
			return
		}
		if served {
			pause = firstPause
		}
		h.mu.Lock()
		h.interruptLocked(err)
		h.mu.Unlock()
		if !served || again {
			h.sleep(pause/2 + rand.N(pause))
			pause = min(2*pause, longestPause)
		}
		if h.ctx.Err() != nil {
			h.detach()
			return
		}
	}
}

// connect makes a connection and serves it. It returns nil when the loop may end,
// else why the connection broke, and whether it had been of use before.
func (h *Hub) connect(again bool) (served bool, err error) {
	conn, release := h.client.Dedicate()
	defer release()
	defer conn.Close()
	id := h.nextConn()
	broken := conn.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { h.message(id, m) },
		OnSubscription: func(s rueidis.PubSubSubscription) { h.confirmed(id, s) },
	})
	ctx, cancel := context.WithTimeout(h.ctx, answerLimit)
	err = conn.Do(ctx, conn.B().Ping().Build()).Error()
	cancel()
	if err != nil {
		return false, fmt.Errorf("rlock: connect for pub/sub: %w", err)
	}
	if again {
		h.reconnected()
	}
	return true, h.serve(conn, broken)
}

// nextConn begins a connection, on which nothing is subscribed yet.
func (h *Hub) nextConn() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn++
	h.changed = h.changed[:0]
	for _, t := range h.topics {
		t.state = idle
		h.changed = append(h.changed, t)
	}
	return h.conn
}

// serve passes on what listeners want until the connection breaks, which is an
// error, or nobody wants anything any more.
func (h *Hub) serve(conn rueidis.DedicatedClient, broken <-chan error) error {
	unused := time.NewTimer(linger)
	defer unused.Stop()
	needed := false
	for {
		if err := h.flush(conn); err != nil {
			return err
		}
		switch before := needed; {
		case h.needed():
			needed = true
			unused.Stop()
		case before:
			needed = false
			unused.Reset(linger)
		}
		select {
		case <-h.wake:
		case <-unused.C:
			if h.detachUnused() {
				return nil
			}
		case err := <-broken:
			if err == nil {
				err = errors.New("connection closed")
			}
			return fmt.Errorf("rlock: pub/sub connection lost: %w", err)
		case <-h.ctx.Done():
			h.detach()
			return nil
		}
	}
}

// needed reports whether anybody needs the connection.
func (h *Hub) needed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.topics) > 0 || len(h.keepers) > 0
}

// detachUnused marks the loop as ended if nobody needs the connection, and reports
// whether it did.
func (h *Hub) detachUnused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.topics) > 0 || len(h.keepers) > 0 {
		return false
	}
	h.attached = false
	return true
}

func (h *Hub) detach() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attached = false
}

// flush tells the server what has changed.
func (h *Hub) flush(conn rueidis.DedicatedClient) error {
	join, leave := h.changes()
	if err := h.each(leave, func(ctx context.Context, channels []string) error {
		return conn.Do(ctx, conn.B().Unsubscribe().Channel(channels...).Build()).Error()
	}); err != nil {
		return fmt.Errorf("rlock: unsubscribe: %w", err)
	}
	subscribe := func(ctx context.Context, channels []string) error {
		return conn.Do(ctx, conn.B().Subscribe().Channel(channels...).Build()).Error()
	}
	if err := h.each(join, subscribe); err != nil {
		if _, refused := rueidis.IsRedisErr(err); !refused {
			return fmt.Errorf("rlock: subscribe: %w", err)
		}
		return h.subscribeSingly(join, subscribe)
	}
	return nil
}

// subscribeSingly subscribes one channel after another, because the server refused
// one of them: that one's listeners are told.
func (h *Hub) subscribeSingly(channels []string, subscribe func(context.Context, []string) error) error {
	for _, channel := range channels {
		err := h.each([]string{channel}, subscribe)
		if err == nil {
			continue
		}
		if _, refused := rueidis.IsRedisErr(err); !refused {
			return fmt.Errorf("rlock: subscribe: %w", err)
		}
		h.refused(channel, fmt.Errorf("rlock: subscribe to %q: %w", channel, err))
	}
	return nil
}

// refused tells the listeners of a channel and puts the topic back to idle. Whoever
// subscribes to it next asks the server again.
func (h *Hub) refused(channel string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[channel]
	if t == nil {
		return
	}
	t.state = idle
	if len(t.listeners) == 0 {
		delete(h.topics, channel)
	}
	for _, s := range t.listeners {
		s.listener.Interrupted(err)
	}
}

// each calls do with the channels in batches, until it fails.
func (h *Hub) each(channels []string, do func(ctx context.Context, channels []string) error) error {
	for len(channels) > 0 {
		n := min(batch, len(channels))
		ctx, cancel := context.WithTimeout(h.ctx, answerLimit)
		err := do(ctx, channels[:n])
		cancel()
		if err != nil {
			return err
		}
		channels = channels[n:]
	}
	return nil
}

// changes takes the topics that changed and says which channels to subscribe and
// which to leave. A channel is left only when its subscription was confirmed: else
// a late confirmation could be taken for that of a later subscription.
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
		case !wanted && t.state == subscribed:
			leave = append(leave, t.channel)
			delete(h.topics, t.channel)
		case !wanted && t.state == idle:
			delete(h.topics, t.channel)
		}
	}
	return join, leave
}

// reconnected tells the keepers.
func (h *Hub) reconnected() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := range h.keepers {
		k.reconnected()
	}
}

// interruptLocked tells every listener that messages may be missing.
func (h *Hub) interruptLocked(err error) {
	for _, t := range h.topics {
		t.state = idle
		for _, s := range t.listeners {
			s.listener.Interrupted(err)
		}
	}
}

// confirmed is called by the reader of connection id.
func (h *Hub) confirmed(id uint64, s rueidis.PubSubSubscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[s.Channel]
	if s.Kind != "subscribe" || id != h.conn || t == nil || t.state != requested {
		return
	}
	t.state = subscribed
	if len(t.listeners) == 0 { // everybody left before the confirmation came
		h.changedLocked(t)
	}
	for _, s := range t.listeners {
		s.listener.Subscribed()
	}
}

// message is called by the reader of connection id.
func (h *Hub) message(id uint64, m rueidis.PubSubMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[m.Channel]
	if id != h.conn || t == nil {
		return
	}
	for _, s := range t.listeners {
		s.listener.Message(m.Message)
	}
}

// sleep waits for d or until the Hub is closed.
func (h *Hub) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.ctx.Done():
	}
}
