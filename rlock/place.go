package rlock

import "time"

// soon is how quickly an owner is back for a lock that left the process, if it is to find
// a place in the queue the next time, and for how long it is kept then.
const soon = time.Millisecond

// A place is one that the process keeps in the queue of processes for an owner that lets
// the lock go and is expected back at once: its ticket is left by the script that releases
// the lock, which saves the script that would leave it.
type place struct {
	reserved *tenure     // for whom; nil: nobody
	timer    *time.Timer // ends that
	left     Owner       // who let the lock go last to another process
	when     time.Time   // and when
	back     bool        // whoever did so was back at once
}

// reserveLocked keeps a place for the tenure, which gives back its last hold, if its owner
// is expected back and nobody else of this process waits.
func (r *room) reserveLocked(t *tenure) (ticket string, lease time.Duration) {
	if !r.line.place.back || !r.line.open || !r.activeLocked() || r.queue.Len() > 0 || len(t.holds) == 0 {
		return "", 0
	}
	last := t.holds[len(t.holds)-1]
	lease = t.leaseFor(request{lease: last.lease, minHold: last.least})
	ticket, _ = r.ticketLocked(t, lease)
	r.line.place.reserved = t
	r.client.retain(t)
	return ticket, lease
}

// departedLocked notes that an owner has let the lock go to another process.
func (r *room) departedLocked(owner Owner) {
	p := &r.line.place
	p.left, p.when = owner, time.Now()
	switch {
	case p.reserved == nil:
	case p.timer == nil:
		p.timer = time.AfterFunc(soon, r.giveUpPlace)
	default:
		p.timer.Reset(soon)
	}
}

// takeLocked takes the place that is kept for a waiter, if there is one with its lease.
func (r *room) takeLocked(w *waiter) bool {
	p := &r.line.place
	if w.tenure.owner == p.left && w.began.Sub(p.when) < soon {
		p.back = true
	}
	if p.reserved != w.tenure || r.line.ticket != r.line.ticketOf(w.tenure.field, w.tenure.leaseFor(w.request)) {
		return false
	}
	w.attempt = r.line.attempt
	r.forgoLocked()
	return true
}

// giveUpPlace takes the ticket back whose owner was not back in time.
func (r *room) giveUpPlace() {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := &r.line.place
	if p.reserved == nil || time.Since(p.when) < soon {
		return
	}
	r.client.withdraw(p.reserved, r.line.ticket)
	r.line.ticket = ""
	r.missedLocked()
}

// missedLocked notes that a place that was kept, if one was, came to its turn or its end
// before its owner was back.
func (r *room) missedLocked() {
	if r.line.place.reserved != nil {
		r.line.place.back = false
		r.forgoLocked()
	}
}

// forgoLocked keeps the place for nobody any more. The ticket may still be there.
func (r *room) forgoLocked() {
	p := &r.line.place
	if p.reserved == nil {
		return
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	r.client.leave(p.reserved)
	p.reserved = nil
}
