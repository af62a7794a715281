package rlock

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-rlock/rlock/lua"
)

const (
	// confirmAfter is how long a grant is used without confirming it.
	confirmAfter = time.Second
	// standBack is for how long those who know about tickets leave a public release
	// to those who do not.
	standBack = 3 * time.Millisecond
	// heirDelay is how long after the end of a grant's first lease its granter looks.
	heirDelay = 5 * time.Millisecond
	// longestFirst is the longest first lease of a grant; see lua/pass.lua.
	longestFirst = 3 * time.Second
)

// A line is a room's place in the queue of all processes that wait for a lock.
//
// Each process has at most one ticket there, for whoever is in front of its room. Who
// releases the lock serves the first ticket whose process still listens: the script
// makes the ticket's owner the holder and tells its process, with a short lease that
// the new holder confirms if it still holds after a second. Who served it stays
// responsible: when that lease may have ended unconfirmed, it serves the next.
//
// A process with waiters of its own hands over inside itself for some turns before it
// serves another process, and after some turns in all the lock is released in public
// if somebody waits who does not know about tickets, such as Redisson.
type line struct {
	open    bool   // tickets are used
	ticket  string // that may lie in the queue; empty: none
	attempt uint64 // of the last ticket
	run     int    // turns in a row of processes that know about tickets
	local   int    // turns in a row of this process
	// behind is how many tickets at the head of the queue may belong to processes that
	// expect a longer lease than a first one, and have to be told when to look; -1: all.
	behind int
	// waited: whoever of this process got the lock last had waited for it, so that others, who had
	// too, may know of an earlier lease that was longer.
	waited bool

	look time.Time   // when to look should nothing be heard: the lease ends sooner than was known
	heir *time.Timer // looks after the last grant to another process
	// minded is when those who wait look by themselves for what became of that grant.
	minded time.Time
}

// handsOver reports whether locks are handed over.
func (c *Client) handsOver() bool { return c.handover && !c.ungranted.Load() }

// stopHandingOver falls back to public releases.
func (c *Client) stopHandingOver(err error) {
	if c.ungranted.Swap(true) {
		return
	}
	c.warn("the server refuses the keys or channels that handing over needs; released locks are published instead", "error", err)
}

// ticketFor returns a ticket for w and its first hold if it is of use to leave one.
func (r *room) ticketFor(w *waiter, count int) (ticket, earlier string, ok bool) {
	if w == nil || count > 1 {
		return "", "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.queuesLocked(w) {
		return "", "", false
	}
	ticket, earlier = r.ticketLocked(w)
	return ticket, earlier, true
}

// queuesLocked reports whether it is of use that w leaves a ticket: it is in front, the
// answer would be heard, and nobody in this process has the lock, who would hand it over.
func (r *room) queuesLocked(w *waiter) bool {
	return r.line.open && r.client.handsOver() && r.activeLocked() && len(r.holders) == 0 && r.front() == w && !w.hurried
}

// placelessLocked reports whether w has no place in the queue and none of what is to come
// makes it try for one: it tried while somebody in this process had the lock, who has given
// it to others since, or whoever gave it to others took that place out of the queue.
func (r *room) placelessLocked(w *waiter) bool {
	return r.line.ticket == "" && r.queuesLocked(w) && r.own == 0 && r.fault == nil
}

// ticketLocked returns a new ticket for a waiter, which takes the place of the one
// that may lie in the queue.
func (r *room) ticketLocked(w *waiter) (ticket, earlier string) {
	r.line.attempt++
	w.attempt = r.line.attempt
	ticket = lua.Ticket(w.tenure.field, w.attempt, w.tenure.leaseFor(w.request))
	earlier, r.line.ticket = r.line.ticket, ticket
	return ticket, earlier
}

// orphanedLocked reports whether nobody minds a ticket that has just been left: its waiter
// has gone meanwhile, and so has whoever came after it; or that one has left a ticket of its
// own, which may have overtaken this one and not taken its place.
func (r *room) orphanedLocked(ticket string) bool {
	if r.line.ticket == "" { // or it was served, to somebody who waits
		return r.queue.Len() == 0
	}
	return r.line.ticket != ticket
}

// queued notes that another ticket than the one that was thought to is in the queue.
func (l *line) queued(thought, ticket string) {
	if l.ticket == thought {
		l.ticket = ticket
	}
}

// announced hears the beacon: the lease has become shorter, or a public release follows,
// for those who do not know about tickets.
func (r *room) announced(payload string) {
	if payload == "public" {
		r.after = time.Now().Add(standBack)
		return
	}
	r.lookIf(payload)
}

// lookIf sets when to look if that is what was said.
func (r *room) lookIf(payload string) (said bool) {
	ms, said := strings.CutPrefix(payload, "look ")
	if n, err := strconv.ParseInt(ms, 10, 64); said && err == nil && n >= 0 && n <= maxDuration.Milliseconds() {
		r.line.look = time.Now().Add(time.Duration(n)*time.Millisecond + 2*heirDelay)
		if r.line.look.Before(r.until) {
			r.untilLocked(r.line.look)
		}
	}
	return said
}

// told hears what is said to this client about the lock.
func (r *room) told(payload string) {
	if r.lookIf(payload) {
		return
	}
	g, ok := parseGrant(payload)
	if !ok {
		return
	}
	if r.line.ticket != "" && strings.HasPrefix(r.line.ticket, g.owner+" "+strconv.FormatUint(g.attempt, 10)+" ") {
		r.line.ticket = ""
	}
	r.line.run, r.line.local, r.line.behind = g.run, 0, g.behind
	for e := r.queue.Front(); e != nil; e = e.Next() {
		w, _ := e.Value.(*waiter)
		if w.tenure.field != g.owner {
			continue
		}
		if w.attempt == g.attempt {
			w.served = g
			w.wake()
		} else {
			w.owedLocked() // it finds out by trying
		}
		return
	}
	r.client.forward(r, g.owner)
}
