package main

import (
	"sync/atomic"
	"time"
)

// An outage is what is known about a Redis that does not answer. A server that refuses
// connections says so at once, but one that is silent costs whoever asks it his whole
// patience. So after a fault nobody asks for a moment, and then one reader in each moment,
// until Redis answers.
type outage struct {
	start time.Time    // the clock of next
	next  atomic.Int64 // when somebody may ask again; 0 while Redis answers
}

// probeEvery is how long nobody asks Redis after a fault.
const probeEvery = 200 * time.Millisecond

func newOutage() *outage { return &outage{start: time.Now()} }

// mayAsk reports whether the caller should ask Redis. It then tells with begin or end
// what came of it.
func (o *outage) mayAsk() bool {
	next := o.next.Load()
	if next == 0 {
		return true
	}
	now := time.Since(o.start)
	return now >= time.Duration(next) && o.next.CompareAndSwap(next, int64(now+probeEvery))
}

// begin notes that Redis did not answer.
func (o *outage) begin() { o.next.Store(int64(time.Since(o.start) + probeEvery)) }

// end notes that Redis answered.
func (o *outage) end() { o.next.Store(0) }
