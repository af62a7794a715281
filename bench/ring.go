package bench

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/google/uuid"
	"github.com/redis/rueidis"
)

//go:embed ring_hop.lua
var ringHopSource string

var ringHop = rueidis.NewLuaScript(ringHopSource)

// A ring is the floor where a lock is waited for: clients that pass a token round, with
// one script per hop. Who is next is known without asking, because all of them are in
// one process; the server only keeps who has the token, and tells the next one.
type ring struct {
	mu     sync.Mutex
	tokens map[string]*token
}

// A token is where a name's token is.
type token struct {
	mu      sync.Mutex
	taken   bool
	waiting []*ringMutex // in order
}

func (r *ring) token(name string) *token {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tokens == nil {
		r.tokens = make(map[string]*token)
	}
	if r.tokens[name] == nil {
		r.tokens[name] = new(token)
	}
	return r.tokens[name]
}

// open connects one client, which listens on a channel of its own.
func (r *ring) open(addr string) (Client, error) {
	rdb, err := dial(addr)
	if err != nil {
		return nil, err
	}
	c := &ringClient{ring: r, rdb: rdb, channel: "ring:" + uuid.NewString()}
	dedicated, release := rdb.Dedicate()
	c.release = release
	c.ended = dedicated.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: c.deliver})
	subscribe := rdb.B().Subscribe().Channel(c.channel).Build()
	if err := dedicated.Do(context.Background(), subscribe).Error(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

type ringClient struct {
	ring    *ring
	rdb     rueidis.Client
	channel string
	release func()
	ended   <-chan error // has a value when the client's channel is not heard any more

	mu      sync.Mutex
	mutexes []*ringMutex // the owner on the wire is a mutex's index
}

func (c *ringClient) Mutex(name string) Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &ringMutex{
		client:  c,
		name:    name,
		token:   c.ring.token(name),
		owner:   strconv.Itoa(len(c.mutexes)),
		arrived: make(chan struct{}, 1),
	}
	c.mutexes = append(c.mutexes, m)
	return m
}

func (c *ringClient) Close() error {
	c.release()
	c.rdb.Close()
	return nil
}

// deliver takes a message to the one whom it is for.
func (c *ringClient) deliver(message rueidis.PubSubMessage) {
	owner, err := strconv.Atoi(message.Message)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || owner >= len(c.mutexes) {
		return
	}
	c.mutexes[owner].arrived <- struct{}{}
}

type ringMutex struct {
	client      *ringClient
	name, owner string
	token       *token
	arrived     chan struct{} // has a value when the token has come
}

var errDeaf = errors.New("bench: the connection on which the token is announced has ended")

// Lock waits for the token. A free one is passed to oneself.
func (m *ringMutex) Lock(ctx context.Context) (Held, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.claim() {
		if err := m.receive(context.WithoutCancel(ctx), m.client.rdb); err != nil {
			return nil, err
		}
	}
	select {
	case <-m.arrived:
		return m, nil
	case err := <-m.client.ended:
		return nil, errors.Join(errDeaf, err)
	case <-ctx.Done():
	}
	if m.leave() {
		return nil, ctx.Err()
	}
	<-m.arrived // it is on its way
	return nil, errors.Join(ctx.Err(), m.Unlock(context.WithoutCancel(ctx)))
}

// Unlock passes the token to whoever is next.
func (m *ringMutex) Unlock(ctx context.Context) error {
	if next := m.token.next(); next != nil {
		return next.receive(ctx, m.client.rdb)
	}
	return nil
}

// receive tells the mutex, through the connection of the one before, that it has the
// token.
func (m *ringMutex) receive(ctx context.Context, rdb rueidis.Client) error {
	args := []string{m.owner, strconv.FormatInt(lease.Milliseconds(), 10), m.client.channel}
	return ringHop.Exec(ctx, rdb, []string{m.name}, args).Error()
}

// claim takes a token that nobody has, or queues for it, and reports which.
func (m *ringMutex) claim() bool {
	t := m.token
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken {
		t.waiting = append(t.waiting, m)
		return false
	}
	t.taken = true
	return true
}

// leave reports whether the mutex still queued, which it does no more.
func (m *ringMutex) leave() bool {
	t := m.token
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, m)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	return true
}

// next returns the one who gets the token, or nil if nobody wants it.
func (t *token) next() *ringMutex {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.taken = false
		return nil
	}
	m := t.waiting[0]
	t.waiting = t.waiting[1:]
	return m
}
