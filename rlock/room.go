package rlock

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-rlock/rlock/pubsub"
)

// linger is how long a lock's channel stays subscribed after the last waiter left,
// so that a busy lock does not subscribe and unsubscribe all the time.
const linger = time.Second

// A room is where the goroutines of this process wait for one lock, in the order in
// which they came. Only the one in front talks to Redis; whoever follows it inherits
// what is known: that a try is due, or when the lease of the present holder ends.
type room struct {
	client  *Client
	name    string
	channel string

	// users counts tenures, and the subscription. Protected by Client.mu.
	users int

	mu    sync.Mutex // protects what follows, and what the tenures of this lock say
	queue list.List  // of *waiter

	sub    *pubsub.Subscription
	joined bool   // sub is there or about to be
	active bool   // the server has confirmed the subscription
	heard  uint64 // counts what was heard from the channel
	linger *time.Timer

	due   bool      // whoever is in front shall try now
	until time.Time // or then; zero: nobody knows
	fault error     // why the channel is interrupted
	since time.Time // when that began

	holders []*tenure  // that have holds
	one     [1]*tenure // where holders begins, because most locks have one
	// own counts this process's releases whose message is still to come: they are no
	// reason to look whether a hold was forced open.
	own int
}

// A waiter is one goroutine in a room.
type waiter struct {
	room   *room
	tenure *tenure
	place  *list.Element
	began  time.Time
	nudge  chan struct{} // one slot: look again
	again  bool          // try, wherever in the queue: the owner got the lock elsewhere
	timer  *time.Timer
}

// A glance is what was known of a lock's channel before an attempt.
type glance struct {
	active bool
	heard  uint64
}

func (r *room) glance() glance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return glance{active: r.active, heard: r.heard}
}

// join adds a waiter for a lock that an attempt found taken for another ttl. Before
// is what was known before that attempt: whatever was heard since may be the very
// release that is being waited for.
func (r *room) join(t *tenure, before glance, ttl time.Duration) *waiter {
	w := &waiter{room: r, tenure: t, began: time.Now(), nudge: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	r.mu.Lock()
	w.place = r.queue.PushBack(w)
	r.takenLocked(ttl)
	if r.front() == w { // else whoever is in front heard it
		r.due = r.active && before != glance{active: true, heard: r.heard}
	}
	subscribe := !r.joined
	r.joined = true
	if r.linger != nil {
		r.linger.Stop()
	}
	r.mu.Unlock()
	if subscribe {
		r.client.occupy(r)
		sub := r.client.hub.Subscribe(r.channel, r)
		r.mu.Lock()
		r.sub = sub
		r.mu.Unlock()
	}
	return w
}

// move makes the waiter wait on behalf of another tenure of the same owner.
func (w *waiter) move(t *tenure) {
	w.room.mu.Lock()
	defer w.room.mu.Unlock()
	w.tenure = t
}

// leave removes a waiter. Whoever is in front then goes on with what is known.
func (w *waiter) leave() {
	r := w.room
	w.timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue.Remove(w.place)
	if r.queue.Len() > 0 {
		r.nudgeLocked()
		return
	}
	if r.linger == nil {
		r.linger = time.AfterFunc(linger, r.quit)
	} else {
		r.linger.Reset(linger)
	}
}

// quit gives the subscription up if nobody has come meanwhile.
func (r *room) quit() {
	r.mu.Lock()
	if r.queue.Len() > 0 || r.sub == nil {
		r.mu.Unlock()
		return
	}
	sub := r.sub
	r.sub, r.joined, r.active, r.fault = nil, false, false, nil
	r.mu.Unlock()
	sub.Close()
	r.client.vacate(r)
}

// close stops what the room does by itself and returns who has holds.
func (r *room) close() []*tenure {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.linger != nil {
		r.linger.Stop()
	}
	return slices.Clone(r.holders)
}

// front returns the waiter whose turn it is to talk to Redis.
func (r *room) front() *waiter {
	if e := r.queue.Front(); e != nil {
		w, _ := e.Value.(*waiter)
		return w
	}
	return nil
}

func (r *room) nudgeLocked() {
	if w := r.front(); w != nil {
		w.wake()
	}
}

func (w *waiter) wake() {
	select {
	case w.nudge <- struct{}{}:
	default: // it will look anyway
	}
}

// takenLocked notes that somebody has the lock for another ttl.
func (r *room) takenLocked(ttl time.Duration) {
	if ttl < 0 { // no expiry: look now and then, in case nobody tells
		ttl = r.client.watchdogTimeout
	}
	until := time.Now().Add(ttl + time.Millisecond)
	if until.Before(r.until) {
		r.nudgeLocked()
	}
	r.until = until
}

// taken is takenLocked for a waiter that has tried.
func (r *room) taken(ttl time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takenLocked(ttl)
}

// later makes whoever is in front try after d: the last try met a fault.
func (r *room) later(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = time.Now().Add(d)
	r.nudgeLocked()
}

// unused makes whoever is in front try: a try was given up on, and nobody knows
// what it found.
func (r *room) unused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = true
	r.nudgeLocked()
}

// await blocks until the waiter shall try, and returns nil; or returns why it shall
// not: errWaited at the deadline, the error of ctx, ErrClosed, or the fault that has
// interrupted the channel for longer than the grace period.
func (w *waiter) await(ctx context.Context, deadline time.Time) error {
	c := w.room.client
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		if c.isClosing() {
			return ErrClosed
		}
		now := time.Now()
		try, next, err := w.look(now)
		if try || err != nil {
			return err
		}
		if !deadline.IsZero() && !now.Before(deadline) {
			return errWaited
		}
		if next.IsZero() || (!deadline.IsZero() && deadline.Before(next)) {
			next = deadline
		}
		var alarm <-chan time.Time
		if !next.IsZero() {
			w.timer.Reset(next.Sub(now))
			alarm = w.timer.C
		}
		select {
		case <-w.nudge:
		case <-alarm:
		case <-c.closing:
		case <-ctx.Done():
		}
	}
}

// look reports whether the waiter shall try now, else when it shall look again (zero:
// when it is nudged), or that waiting is of no use.
func (w *waiter) look(now time.Time) (try bool, next time.Time, err error) {
	r := w.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.again {
		w.again = false
		return true, next, nil
	}
	if r.front() == w {
		if r.due || !r.until.IsZero() && !now.Before(r.until) {
			r.due = false
			r.until = time.Time{}
			return true, next, nil
		}
		next = r.until
	}
	if r.fault != nil {
		end := r.since.Add(r.client.gracePeriod)
		if w.began.After(r.since) {
			end = w.began.Add(r.client.gracePeriod)
		}
		if !now.Before(end) {
			return false, next, classify(r.fault)
		}
		if next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return false, next, nil
}

// grantedLocked notes that a tenure of this process has the lock until about then.
func (r *room) grantedLocked(t *tenure, until time.Time) {
	r.until = until
	if len(r.holders) == 0 {
		r.holders = r.one[:0]
	}
	if !slices.Contains(r.holders, t) {
		r.holders = append(r.holders, t)
	}
	for e := r.queue.Front(); e != nil; e = e.Next() {
		if w, _ := e.Value.(*waiter); w.tenure == t {
			w.again = true
			w.wake()
		}
	}
}

// vacatedLocked notes that a tenure has no holds any more.
func (r *room) vacatedLocked(t *tenure) {
	r.holders = slices.DeleteFunc(r.holders, func(h *tenure) bool { return h == t })
}

// expectRelease notes that this process is about to publish a release.
func (r *room) expectRelease() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.active {
		r.own++
	}
}

// unexpected takes back expectRelease: nothing was published.
func (r *room) unexpected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own = max(0, r.own-1)
}

// verify asks the server whether the holds of this process are still there.
func (r *room) verify() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verifyLocked()
}

func (r *room) verifyLocked() {
	for _, t := range r.holders {
		t.watch.Renew()
	}
}

// Subscribed implements pubsub.Listener: messages come from now on, and some may
// have been missed.
func (r *room) Subscribed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active, r.fault, r.own = true, nil, 0
	r.heard++
	r.due = true
	r.nudgeLocked()
}

// Message implements pubsub.Listener. Redisson knows 0, and 1 for everybody; a lock
// has one holder, so that waking the one in front is enough for both. It ignores
// everything else, and so do we.
func (r *room) Message(payload string) {
	if payload != "0" && payload != "1" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard++
	r.due = true
	r.nudgeLocked()
	if r.own > 0 {
		r.own--
		return
	}
	r.verifyLocked()
}

// Interrupted implements pubsub.Listener.
func (r *room) Interrupted(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == nil {
		r.since = time.Now()
	}
	r.active, r.fault, r.own = false, err, 0
	r.heard++
	for e := r.queue.Front(); e != nil; e = e.Next() {
		if w, _ := e.Value.(*waiter); w != nil {
			w.wake()
		}
	}
}
