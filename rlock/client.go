package rlock

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/pubsub"
	"github.com/go-rlock/rlock/watchdog"
)

// A Client makes locks and keeps what they share: one identity, one pub/sub
// connection, one watchdog. A process needs one per Redis server. Its methods may be
// called by several goroutines at once.
type Client struct {
	settings

	rdb rueidis.Client
	id  string
	hub *pubsub.Hub
	dog *watchdog.Watchdog[vigil]

	losses losses
	alarm  alarm

	// running counts tasks: scripts that run apart from their callers, and the callers whose
	// do not.
	running atomic.Int64

	closing chan struct{} // closed when Close begins
	abort   chan struct{} // closed when Close stops waiting for scripts
	closed  chan struct{} // closed when Close has ended
	quiet   chan struct{} // closed when Close has begun and no task runs any more
	workers *workers
	errands sync.Pool // of *errand

	mu       sync.Mutex // protects what follows
	ended    bool       // closing is closed
	over     bool       // no other task may start
	tenures  map[tenureKey]*tenure
	resting  []*tenure // tenures that are or were without users; nil: a free seat
	oldest   int       // the seat in resting to be given to another tenure next
	rooms    map[string]*room
	epoch    int64  // of new tenures
	attempts uint64 // to leave a ticket, at most, in a room that is there no more
	closeErr error

	presence presence
	clock    atomic.Pointer[anchor]

	unheard   atomic.Bool // the server refuses PUBLISH, which was logged
	ungranted atomic.Bool // the server refuses what handing over needs
}

// maxEpoch keeps an owner's number on the wire within 64 bits. When the epochs begin
// again, no script of the first ones can be under way any more.
const maxEpoch = 1 << 22

// maxResting is how many tenures a client keeps without users, for owners that come back to
// a lock again and again.
const maxResting = 128

type tenureKey struct {
	name  string
	owner Owner
}

// New returns a Client that reaches Redis or Valkey through rdb, which the caller
// keeps owning and closes after Client.Close. It does no I/O and starts nothing.
//
// Rdb must lead to one server or to a primary that a Sentinel names; clusters are
// refused for now. Its ConnLifetime must be 0: with it, the Redis client repeats
// scripts unseen. New cannot see that option and does not check it. With Sentinel, set
// TopologyRefreshInterval, as rueidis recommends: a client that missed the one message of a
// failover would stay with the old primary for good. Several clients on one rdb are several
// owners. Each keeps one connection of its pool for blocking commands while anybody waits or
// holds a lock; see BlockingPoolSize.
//
// While the server is down, rueidis.NewClient returns no client but an error. A program
// that is to start all the same calls it again until it succeeds, or sets
// ForceSingleClient: then there is a client besides the error, which connects once that is
// possible, and until then Lock and the others return ErrUnavailable.
//
// Rdb may serve other commands too. If their contexts are cancelled, nobody else notices.
// But where the deadline of a command passes before its answer came, rueidis may close the
// connection under those who share it. A lock operation among them can then return an
// ErrUnavailable from a server that is well; what waits or gives back is tried again, and
// nothing is left behind. Deadlines that pass only when the server is silent do no harm;
// a program with shorter ones gives the locks a rueidis client of their own.
func New(rdb rueidis.Client, options ...Option) (*Client, error) {
	if rdb == nil {
		return nil, errors.New("rlock: new client: the rueidis client is nil; pass one made by rueidis.NewClient")
	}
	if rdb.Mode() == rueidis.ClientModeCluster {
		return nil, errors.New("rlock: new client: Redis Cluster is not supported yet; pass a client for a single server or for Sentinel")
	}
	s := settings{
		watchdogTimeout: defaultWatchdogTimeout,
		gracePeriod:     defaultGracePeriod,
		log:             slog.New(slog.DiscardHandler),
		handover:        true,
		localTurns:      defaultLocalTurns,
		turns:           defaultTurns,
	}
	for _, option := range options {
		if option == nil {
			return nil, errors.New("rlock: new client: an option is nil")
		}
		if err := option(&s); err != nil {
			return nil, fmt.Errorf("rlock: new client: %w", err)
		}
	}
	if err := checkGoroutineID(); err != nil {
		return nil, fmt.Errorf("rlock: new client: %w", err)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("rlock: new client: %w", err)
	}
	c := &Client{
		settings: s,
		rdb:      rdb,
		id:       id.String(),
		hub:      pubsub.NewHub(rdb),
		closing:  make(chan struct{}),
		abort:    make(chan struct{}),
		closed:   make(chan struct{}),
		quiet:    make(chan struct{}),
		workers:  newWorkers(),
		tenures:  make(map[tenureKey]*tenure),
		rooms:    make(map[string]*room),
	}
	c.dog = watchdog.New(s.watchdogTimeout/3, renewBatch, c.renew)
	return c, nil
}

// ID returns the client's part of every owner on the wire, a random UUID.
func (c *Client) ID() string { return c.id }

// NewLock returns the lock of that name. It does no I/O and never fails: a name that
// cannot work, an empty one or one of more than 64 KiB, is an error of every
// operation. All locks of one name are the same lock.
func (c *Client) NewLock(name string) *Lock {
	return &Lock{client: c, names: namesOf(name), invalid: checkName(name)}
}

func (c *Client) isClosing() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// enter returns the owner's tenure of a lock, for one attempt, which ends with leave.
func (c *Client) enter(l *Lock, owner Owner) *tenure {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := tenureKey{l.names.lock, owner}
	t := c.tenures[key]
	if t == nil || t.retired.Load() {
		t = c.openLocked(c.roomLocked(&l.names), owner, fieldOf(c.id, owner, c.epoch))
		c.tenures[key] = t
	}
	if t.users.Add(1) == 1 {
		t.fresh.Store(!c.losses.has(lossKey(key))) // a lost hold may still be there
	}
	return t
}

// roomLocked returns the room of a lock. A new one begins no attempt that one before it
// has made, whose grant may still come.
func (c *Client) roomLocked(names *names) *room {
	r := c.rooms[names.lock]
	if r == nil {
		r = &room{client: c, names: names, line: line{attempt: c.attempts}}
		c.rooms[names.lock] = r
	}
	return r
}

// openLocked returns a new tenure.
func (c *Client) openLocked(r *room, owner Owner, field string) *tenure {
	r.users++
	return &tenure{client: c, room: r, owner: owner, epoch: c.epoch, field: field, turn: make(chan struct{}, 1), seat: -1}
}

// adopt returns the tenure with that name on the wire, for one attempt, which ends with
// leave.
func (c *Client) adopt(r *room, field string) *tenure {
	c.mu.Lock()
	defer c.mu.Unlock()
	owner := ownerOnWire(field)
	key := tenureKey{r.names.lock, owner}
	t := c.tenures[key]
	if t == nil || t.field != field {
		t = c.openLocked(c.roomLocked(r.names), owner, field)
		if c.tenures[key] == nil && field == fieldOf(c.id, owner, c.epoch) { // the owner may come back
			c.tenures[key] = t
		}
	}
	t.users.Add(1)
	return t
}

// find returns the owner's tenure of a lock if there is one.
func (c *Client) find(l *Lock, owner Owner) *tenure {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tenures[tenureKey{l.names.lock, owner}]
}

// wireName returns the owner's name on the wire, for this lock.
func (c *Client) wireName(l *Lock, owner Owner) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.tenures[tenureKey{l.names.lock, owner}]; t != nil {
		return t.field
	}
	return fieldOf(c.id, owner, c.epoch)
}

// roomOf returns the room of a lock that is in use here, or nil.
func (c *Client) roomOf(name string) *room {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rooms[name]
}

// leave ends one attempt, task or hold.
func (c *Client) leave(t *tenure) {
	for {
		switch users := t.users.Load(); {
		case users == 1:
			if c.leaveLast(t) {
				return
			}
		case t.users.CompareAndSwap(users, users-1):
			return
		}
	}
}

// leaveLast lets a tenure rest, unless it has got another user meanwhile.
func (c *Client) leaveLast(t *tenure) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !t.users.CompareAndSwap(1, 0) {
		return false
	}
	if t.epoch != c.epoch || t.retired.Load() || t.blurred {
		c.forgetLocked(t)
	} else {
		c.restLocked(t)
	}
	return true
}

// restLocked gives a tenure without users a seat, which it keeps when its owner comes back.
// Another one is forgotten for it if there are many.
func (c *Client) restLocked(t *tenure) {
	switch {
	case t.seat >= 0:
		return
	case len(c.resting) < maxResting:
		t.seat = len(c.resting)
		c.resting = append(c.resting, t)
		return
	}
	t.seat, c.oldest = c.oldest, (c.oldest+1)%maxResting
	if other := c.resting[t.seat]; other != nil {
		other.seat = -1
		if other.users.Load() == 0 {
			c.forgetLocked(other)
		}
	}
	c.resting[t.seat] = t
}

// forgetLocked forgets a tenure without users.
func (c *Client) forgetLocked(t *tenure) {
	if t.seat >= 0 {
		c.resting[t.seat], t.seat = nil, -1
	}
	key := tenureKey{t.room.names.lock, t.owner}
	if c.tenures[key] == t {
		delete(c.tenures, key)
	}
	c.vacateLocked(t.room)
}

// retain keeps a tenure that has a user already as an attempt does, until leave.
func (c *Client) retain(t *tenure) { t.users.Add(1) }

// enlist counts a hold, whose tenure has a user already.
func (c *Client) enlist(t *tenure) {
	c.retain(t)
	c.presence.enter(c)
}

// delist ends a hold.
func (c *Client) delist(t *tenure) {
	c.leave(t)
	c.presence.leave()
}

// occupy keeps a room for its subscription, vacate lets it go.
func (c *Client) occupy(r *room) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.users++
}

func (c *Client) vacate(r *room) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.vacateLocked(r)
}

func (c *Client) vacateLocked(r *room) {
	r.users--
	if r.users == 0 { // and nobody leaves tickets
		delete(c.rooms, r.names.lock)
		c.attempts = max(c.attempts, r.line.attempt)
	}
}

// retire keeps the tenure's name on the wire from being used for a first hold again:
// a copy of a script may still run that takes the lock away from that name. The
// client's id stays, the owner's number changes.
func (c *Client) retire(t *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.retired.Store(true)
	if c.epoch != t.epoch {
		return
	}
	c.epoch = (c.epoch + 1) % maxEpoch
	for _, other := range c.resting { // those who come back have the new number
		if other != nil && other.users.Load() == 0 {
			c.forgetLocked(other)
		}
	}
}

func (c *Client) warnUnheard(name string) {
	if c.unheard.Swap(true) {
		return
	}
	c.warn("the server refuses PUBLISH on the lock's channel; waiters notice a release only when the lease they know of ends",
		"lock", name, "channel", namesOf(name).channel)
}

// warn logs apart from its caller: a log handler may take long, use this lock, or close the
// client.
func (c *Client) warn(message string, attributes ...any) {
	c.start(nil, func() { c.log.Warn("rlock: "+message, attributes...) })
}
