package rlock

import (
	"slices"
	"time"

	"github.com/go-rlock/rlock/pubsub"
)

// linger is how long a lock's channels stay subscribed after the last waiter left,
// so that a busy lock does not subscribe and unsubscribe all the time.
const linger = time.Second

// An ear listens to one channel on behalf of a room.
type ear struct {
	room     *room
	channel  string
	sub      *pubsub.Subscription
	optional bool // the lock works without it
	open     bool // the subscription is confirmed
	hear     func(payload string)
}

// listen subscribes to what is said about the lock. Whoever knows about tickets is
// counted as such before it is counted as a listener, else it would pass for a stranger.
func (r *room) listen() {
	c := r.client
	c.occupy(r)
	ears := []*ear{{room: r, hear: r.released}}
	open := c.handsOver()
	if open {
		ears = []*ear{
			{room: r, channel: r.names.beacon(), optional: true, hear: r.announced},
			{room: r, channel: r.names.grants(c.id), optional: true, hear: r.told},
			ears[0],
		}
	}
	ears[len(ears)-1].channel = r.names.channel
	r.mu.Lock()
	r.ears, r.deaf, r.line.open = ears, len(ears), open
	r.mu.Unlock()
	for _, e := range ears {
		sub := c.hub.Subscribe(e.channel, e)
		r.mu.Lock()
		e.sub = sub
		r.mu.Unlock()
	}
}

// quit gives the subscriptions up if nobody has come meanwhile.
func (r *room) quit() {
	r.mu.Lock()
	if r.queue.Len() > 0 || r.ears == nil {
		r.mu.Unlock()
		return
	}
	ears := r.ears
	r.ears, r.joined, r.fault = nil, false, nil
	r.mu.Unlock()
	for _, e := range slices.Backward(ears) {
		e.sub.Close()
	}
	r.client.vacate(r)
}

// activeLocked reports whether everything that is said about the lock is heard.
func (r *room) activeLocked() bool { return r.ears != nil && r.deaf == 0 }

// inUseLocked reports whether the room relies on the ear. One that it has given up may be
// called until its subscription is closed, and says nothing about those that replace it.
func (e *ear) inUseLocked() bool { return slices.Contains(e.room.ears, e) }

// released hears a message on the public channel. Redisson knows 0, and 1 for
// everybody; a lock has one holder, so that waking the one in front is enough for
// both. It ignores everything else, and so do we.
func (r *room) released(payload string) {
	if payload != "0" && payload != "1" {
		return
	}
	r.dueLocked()
	if r.own > 0 {
		r.own--
		return
	}
	r.verifyLocked()
}

// Subscribed implements pubsub.Listener: messages come from now on, and some may
// have been missed.
func (e *ear) Subscribed() {
	r := e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.open || !e.inUseLocked() {
		return
	}
	e.open = true
	r.deaf--
	if r.deaf > 0 {
		return
	}
	r.fault, r.own = nil, 0
	r.dueLocked()
}

// Message implements pubsub.Listener.
func (e *ear) Message(payload string) {
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	e.hear(payload)
}

// Interrupted implements pubsub.Listener.
func (e *ear) Interrupted(err error) {
	r := e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if !e.inUseLocked() {
		return
	}
	if e.optional && noPermission(err) {
		r.client.stopHandingOver(err)
		r.line.open = false
		e.hear = func(string) {}
		if !e.open {
			e.open = true
			r.deaf--
			if r.deaf == 0 {
				r.dueLocked()
			}
		}
		return
	}
	if e.open {
		e.open = false
		r.deaf++
	}
	r.own = 0
	r.news++
	r.faultLocked(err, time.Now())
}
