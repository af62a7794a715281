package rlock

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"
)

// A room is where the goroutines of this process wait for one lock, in the order in
// which they came. Only the one in front talks to Redis; whoever follows it inherits
// what is known: that a try is due, when the lease of the present holder ends, and the
// process's place in the queue of all processes.
type room struct {
	client *Client
	names  *names

	// users counts tenures, and the subscriptions. Protected by Client.mu.
	users int

	mu    sync.Mutex // protects what follows, and what the tenures of this lock say
	queue list.List  // of *waiter

	ears   []*ear // the channels that are listened to; nil if none are
	joined bool   // the ears are there or about to be
	deaf   int    // ears whose subscription is not confirmed
	news   uint64 // counts what was heard and done that may have freed the lock
	linger *time.Timer

	due   bool      // whoever is in front shall try now
	until time.Time // or then; zero: nobody knows
	after time.Time // but not before then, to let others go first
	fault error     // why the channels are interrupted
	since time.Time // when that began

	holders []*tenure  // that have holds
	one     [1]*tenure // where holders begins, because most locks have one
	// own counts this process's releases whose message is still to come: they are no
	// reason to look whether a hold was forced open.
	own int

	line line
}

// A glance is what was known of a lock before an attempt.
type glance struct {
	active bool
	news   uint64
}

func (r *room) glance() glance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return glance{active: r.activeLocked(), news: r.news}
}

// contended reports whether somebody of this process waits, or did until just now.
func (r *room) contended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.joined
}

// crowded reports whether a caller shall not try before it waits: because others of
// this process wait already, or because its first try can leave a ticket.
func (r *room) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.line.open && (r.queue.Len() > 0 || r.activeLocked() && len(r.holders) == 0)
}

// close ends what the room does by itself and the holds of its lock. It returns what
// is left to do on the server.
func (r *room) close() (rest []func(context.Context) error) {
	r.mu.Lock()
	if r.linger != nil {
		r.linger.Stop()
	}
	if r.line.heir != nil {
		r.line.heir.Stop()
	}
	holders := slices.Clone(r.holders)
	ticket := r.line.ticket
	r.line.ticket = ""
	r.mu.Unlock()
	for _, t := range holders {
		t.lose(ClientClosed)
		rest = append(rest, t.surrender)
	}
	if ticket != "" {
		rest = append(rest, func(ctx context.Context) error { return r.surrenderTicket(ctx, ticket) })
	}
	return rest
}

// front returns the waiter whose turn it is to talk to Redis.
func (r *room) front() *waiter {
	if e := r.queue.Front(); e != nil {
		w, _ := e.Value.(*waiter)
		return w
	}
	return nil
}

// nudgeLocked makes whoever is in front look, unless a release is about to tell it more.
func (r *room) nudgeLocked() {
	if w := r.front(); w != nil && !w.claimed {
		w.wake()
	}
}

// takenLocked notes that an attempt found somebody else to have the lock for another ttl.
func (r *room) takenLocked(got outcome) {
	r.answeredLocked()
	ttl := got.ttl
	if ttl < 0 { // no expiry: look now and then, in case nobody tells
		ttl = r.client.watchdogTimeout
	}
	until := got.asked.Add(ttl + time.Millisecond)
	if look := r.line.look; look.After(got.asked) && look.Before(until) {
		until = look // which was said during the attempt
	}
	r.untilLocked(until)
}

// untilLocked sets when whoever is in front shall try at the latest.
func (r *room) untilLocked(until time.Time) {
	if until.Before(r.until) {
		r.nudgeLocked()
	}
	r.until = until
}

// taken is takenLocked for a waiter that has tried.
func (r *room) taken(got outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takenLocked(got)
}

// answeredLocked notes that the server has answered: no fault is left but that of channels.
func (r *room) answeredLocked() {
	if r.activeLocked() {
		r.fault = nil
	}
}

// troubled makes whoever is in front try after d, because a try that began then met a fault, which
// all waiters share until a try is answered.
func (r *room) troubled(err error, began time.Time, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faultLocked(err, began)
	r.until = time.Now().Add(d)
}

// faultLocked notes a fault and lets every waiter look at it.
func (r *room) faultLocked(err error, began time.Time) {
	if r.fault == nil || began.Before(r.since) {
		r.since = began
	}
	r.fault = err
	for e := r.queue.Front(); e != nil; e = e.Next() {
		if w, _ := e.Value.(*waiter); w != nil {
			w.wake()
		}
	}
}

// dueLocked makes whoever is in front try now.
func (r *room) dueLocked() {
	r.news++
	r.due = true
	r.nudgeLocked()
}

// unused makes whoever is in front try: a try was given up on, and nobody knows
// what it found.
func (r *room) unused() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dueLocked()
}

// grantedLocked notes that a tenure of this process has the lock until about then.
func (r *room) grantedLocked(t *tenure, until time.Time) {
	r.answeredLocked()
	r.until = until
	if len(r.holders) == 0 {
		r.holders = r.one[:0]
	}
	if !slices.Contains(r.holders, t) {
		r.holders = append(r.holders, t)
	}
	r.againLocked(t)
}

// againLocked makes the waiters of a tenure try, wherever in the queue they are.
func (r *room) againLocked(t *tenure) {
	left := t.waiting
	for e := r.queue.Front(); e != nil && left > 0; e = e.Next() {
		if w, _ := e.Value.(*waiter); w.tenure == t {
			w.again = true
			w.wake()
			left--
		}
	}
}

// owedLocked makes them try because the lock may be the tenure's.
func (r *room) owedLocked(t *tenure) {
	left := t.waiting
	for e := r.queue.Front(); e != nil && left > 0; e = e.Next() {
		if w, _ := e.Value.(*waiter); w.tenure == t {
			w.owedLocked()
			left--
		}
	}
}

// vacatedLocked notes that a tenure has no holds any more. Whoever is in front may be without
// a place in the queue of processes.
func (r *room) vacatedLocked(t *tenure) {
	r.holders = slices.DeleteFunc(r.holders, func(h *tenure) bool { return h == t })
	if len(r.holders) == 0 {
		r.nudgeLocked()
	}
}

// expectRelease notes that this process is about to publish a release.
func (r *room) expectRelease() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.activeLocked() {
		r.own++
	}
}

// unexpected takes back expectRelease: nothing was published.
func (r *room) unexpected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.own = max(0, r.own-1)
	if w := r.front(); w != nil && r.placelessLocked(w) { // which waited for that message
		w.wake()
	}
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
