package rlock

import (
	"container/heap"
	"sync"
	"time"
)

// An alarm ends holds when their trust does. All of a client's holds share one timer: a
// lock that is taken and released costs no timer of its own.
type alarm struct {
	mu    sync.Mutex
	holds deadlines
	timer *time.Timer
	armed time.Time // when the timer fires, at the latest when the first hold ends; zero: never
}

// set makes the alarm look at the hold at that time, instead of any other.
func (a *alarm) set(h *Hold, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h.at = at; h.index == 0 {
		heap.Push(&a.holds, h)
	} else {
		heap.Fix(&a.holds, h.index-1)
	}
	a.armLocked()
}

// clear makes the alarm forget the hold. The timer may fire in vain.
func (a *alarm) clear(h *Hold) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h.index > 0 {
		heap.Remove(&a.holds, h.index-1)
	}
}

// armLocked makes the timer fire for the first hold, if it does not fire before anyway.
func (a *alarm) armLocked() {
	if len(a.holds) == 0 {
		return
	}
	at := a.holds[0].at
	if !a.armed.IsZero() && !at.Before(a.armed) {
		return
	}
	a.armed = at
	if d := time.Until(at); a.timer == nil {
		a.timer = time.AfterFunc(d, a.fire)
	} else {
		a.timer.Reset(d)
	}
}

func (a *alarm) fire() {
	a.mu.Lock()
	a.armed = time.Time{}
	var due []*Hold
	for now := time.Now(); len(a.holds) > 0 && !now.Before(a.holds[0].at); {
		h, _ := heap.Pop(&a.holds).(*Hold)
		due = append(due, h)
	}
	a.armLocked()
	a.mu.Unlock()
	for _, h := range due {
		h.expire()
	}
}

// stop ends the alarm.
func (a *alarm) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer != nil {
		a.timer.Stop()
	}
}

// deadlines is a heap of holds, the first to end in front. A hold knows its index plus
// one, 0 if it is not there.
type deadlines []*Hold

func (d deadlines) Len() int { return len(d) }

func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i+1, j+1
}

func (d *deadlines) Push(x any) {
	h, _ := x.(*Hold)
	*d = append(*d, h)
	h.index = len(*d)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	h := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	h.index = 0
	return h
}
