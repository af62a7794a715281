package watchdog

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// inFlight is the number of batches that are renewed at the same time.
const inFlight = 16

// A Watchdog renews everything that it watches once per period. Its methods may be
// called by several goroutines at once.
type Watchdog[L any] struct {
	period time.Duration
	batch  int
	renew  func(ctx context.Context, leases []L) error
	timer  *time.Timer
	slots  chan struct{} // holds one token per batch in flight

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // every goroutine of the watchdog

	mu      sync.Mutex // protects what follows, and the fields of every Watch
	watches map[*Watch[L]]struct{}
	round   uint64 // counts the rounds, so that a retry knows that the next one began
	closed  bool
}

// A Watch is one lease under a Watchdog's care.
type Watch[L any] struct {
	dog    *Watchdog[L]
	lease  L
	busy   chan struct{} // closed when the renewal under way ends; nil if there is none
	paused bool
	again  bool // somebody asked for a renewal while one was under way or paused
}

// New returns a Watchdog that calls renew once per period with all leases that are
// watched, at most batch of them in one call and several calls at a time. Renew
// must return in bounded time and when its context ends. It deals with the single
// leases itself; if it returns an error, the batch is tried again, with growing
// pauses, until it succeeds or the next round takes over. New starts nothing.
func New[L any](period time.Duration, batch int, renew func(ctx context.Context, leases []L) error) *Watchdog[L] {
	w := &Watchdog[L]{
		period:  period,
		batch:   batch,
		renew:   renew,
		slots:   make(chan struct{}, inFlight),
		watches: make(map[*Watch[L]]struct{}),
	}
	w.ctx, w.stop = context.WithCancel(context.Background())
	return w
}

// Add begins to watch a lease. It does not block.
func (w *Watchdog[L]) Add(lease L) *Watch[L] {
	x := &Watch[L]{dog: w, lease: lease}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return x
	}
	w.watches[x] = struct{}{}
	if len(w.watches) == 1 {
		w.armLocked()
	}
	return x
}

func (w *Watchdog[L]) armLocked() {
	if w.timer == nil {
		w.timer = time.AfterFunc(w.period, w.tick)
		return
	}
	w.timer.Reset(w.period)
}

// Len returns the number of leases that are watched.
func (w *Watchdog[L]) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.watches)
}

// tick begins a round.
func (w *Watchdog[L]) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.watches) == 0 {
		return
	}
	w.timer.Reset(w.period)
	w.round++
	w.startLocked(w.idleLocked())
}

// RenewAll begins a round now. It does not wait for it. The rhythm of the other
// rounds does not change.
func (w *Watchdog[L]) RenewAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		for x := range w.watches {
			x.again = x.busy != nil || x.paused
		}
		w.startLocked(w.idleLocked())
	}
}

func (w *Watchdog[L]) idleLocked() []*Watch[L] {
	idle := make([]*Watch[L], 0, len(w.watches))
	for x := range w.watches {
		if x.idle() {
			idle = append(idle, x)
		}
	}
	return idle
}

// idle reports whether a renewal may start.
func (x *Watch[L]) idle() bool { return x.busy == nil && !x.paused }

// startLocked renews idle watches, batch by batch.
func (w *Watchdog[L]) startLocked(watches []*Watch[L]) {
	for len(watches) > 0 {
		n := min(w.batch, len(watches))
		batch := watches[:n:n]
		watches = watches[n:]
		done := w.claimLocked(batch)
		round := w.round
		w.wg.Go(func() { w.run(batch, done, round) })
	}
}

// claimLocked marks the batch as being renewed.
func (w *Watchdog[L]) claimLocked(batch []*Watch[L]) (done chan struct{}) {
	done = make(chan struct{})
	for _, x := range batch {
		x.busy = done
		x.again = false
	}
	return done
}

// run renews one batch that the caller has claimed, and tries again on failure
// until the next round begins.
func (w *Watchdog[L]) run(batch []*Watch[L], done chan struct{}, round uint64) {
	pause := max(w.period/200, time.Millisecond)
	for {
		err := w.renewOnce(batch)
		batch = w.finish(batch, done)
		if err == nil || !w.sleep(pause/2+rand.N(pause)) {
			return
		}
		pause = min(2*pause, w.period/4)
		if batch, done = w.reclaim(batch, round); len(batch) == 0 {
			return
		}
	}
}

func (w *Watchdog[L]) renewOnce(batch []*Watch[L]) error {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
	leases := make([]L, len(batch))
	for i, x := range batch {
		leases[i] = x.lease
	}
	return w.renew(w.ctx, leases)
}

// finish marks the batch as no longer being renewed, starts what was asked for in
// the meantime, and returns the watches for which there is nothing else under way.
func (w *Watchdog[L]) finish(batch []*Watch[L], done chan struct{}) []*Watch[L] {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(done)
	var rest, again []*Watch[L]
	for _, x := range batch {
		x.busy = nil
		if x.again && x.idle() {
			again = append(again, x)
		} else {
			rest = append(rest, x)
		}
	}
	if !w.closed {
		w.startLocked(again)
	}
	return rest
}

// reclaim marks those of a failed batch that are still to be renewed in this round.
func (w *Watchdog[L]) reclaim(batch []*Watch[L], round uint64) ([]*Watch[L], chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.round != round {
		return nil, nil
	}
	var rest []*Watch[L]
	for _, x := range batch {
		if _, watched := w.watches[x]; watched && x.idle() {
			rest = append(rest, x)
		}
	}
	return rest, w.claimLocked(rest)
}

// sleep reports whether the full duration passed before the watchdog was closed.
func (w *Watchdog[L]) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// Renew asks for a renewal of this lease now, outside the rhythm of the rounds. It
// does not wait for it. While the lease is paused, the renewal is put off; while
// one is under way, another one follows.
func (x *Watch[L]) Renew() {
	w := x.dog
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, watched := w.watches[x]; !watched {
		return
	}
	if !x.idle() {
		x.again = true
		return
	}
	w.startLocked([]*Watch[L]{x})
}

// Pause keeps renewals of this lease from starting and waits until none is under
// way.
func (x *Watch[L]) Pause() {
	w := x.dog
	w.mu.Lock()
	x.paused = true
	busy := x.busy
	w.mu.Unlock()
	if busy != nil {
		<-busy
	}
}

// Resume ends a Pause. A renewal that was asked for in the meantime starts now.
func (x *Watch[L]) Resume() {
	w := x.dog
	w.mu.Lock()
	defer w.mu.Unlock()
	x.paused = false
	if _, watched := w.watches[x]; watched && x.again && x.idle() {
		w.startLocked([]*Watch[L]{x})
	}
}

// Stop ends the watch and waits until no renewal of this lease is under way. It
// may be called again. It must not be called by the renew function.
func (x *Watch[L]) Stop() {
	if busy := x.forget(); busy != nil {
		<-busy
	}
}

// Forget ends the watch without waiting for a renewal under way. The renew function
// calls it for a lease that turned out to be lost.
func (x *Watch[L]) Forget() { x.forget() }

func (x *Watch[L]) forget() (busy chan struct{}) {
	w := x.dog
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, watched := w.watches[x]; watched {
		delete(w.watches, x)
		if len(w.watches) == 0 {
			w.timer.Stop()
		}
	}
	return x.busy
}

// Close ends all watches, ends the context of the renewals under way and waits
// until they have returned. It may be called again. A Watchdog that is closed
// watches nothing any more: Add still returns a Watch, which is never renewed.
func (w *Watchdog[L]) Close() {
	w.mu.Lock()
	w.closed = true
	clear(w.watches)
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.stop()
	w.wg.Wait()
}
