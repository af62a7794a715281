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
	empty   chan struct{} // closed when the last watch ends; nil if nobody waits for that
	first   time.Time     // when there was something to watch again
	armed   bool          // the timer runs
	round   uint64        // counts the rounds, so that a retry knows that the next one began
	closed  bool
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

// armLocked makes the first round begin one period after the first lease came. A timer
// that runs for leases which have gone is left to run: a lease that is watched for a
// moment costs no timer.
func (w *Watchdog[L]) armLocked() {
	w.first = time.Now()
	switch {
	case w.armed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(w.period, w.tick)
	default:
		w.timer.Reset(w.period)
	}
	w.armed = true
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
		w.armed = false
		return
	}
	if early := w.period - time.Since(w.first); early > 0 {
		w.timer.Reset(early)
		return
	}
	w.timer.Reset(w.period)
	w.round++
	w.renewAllLocked()
}

// RenewAll asks for a renewal of every lease now. It does not wait for it. The
// rhythm of the rounds does not change.
func (w *Watchdog[L]) RenewAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.renewAllLocked()
	}
}

// renewAllLocked renews what can be renewed now, and the rest as soon as it can be.
func (w *Watchdog[L]) renewAllLocked() {
	idle := make([]*Watch[L], 0, len(w.watches))
	for x := range w.watches {
		if x.idle() {
			idle = append(idle, x)
		} else {
			x.again = true
		}
	}
	w.startLocked(idle)
}

// startLocked queues idle watches for renewal, batch by batch.
func (w *Watchdog[L]) startLocked(watches []*Watch[L]) {
	for _, x := range watches {
		x.queued, x.again = true, false
	}
	for len(watches) > 0 {
		n := min(w.batch, len(watches))
		batch := watches[:n:n]
		watches = watches[n:]
		w.wg.Go(func() { w.run(batch) })
	}
}

// run renews one batch that the caller has queued, and tries again on failure until
// the next round begins.
func (w *Watchdog[L]) run(batch []*Watch[L]) {
	pause, longest := max(w.period/200, time.Millisecond), max(w.period/4, time.Millisecond)
	for len(batch) > 0 {
		failed, ok := w.renewOnce(batch)
		if ok || len(failed.batch) == 0 || !w.sleep(pause/2+rand.N(pause), failed.empty) {
			return
		}
		pause = min(2*pause, longest)
		batch = w.requeue(failed)
	}
}

// A failure is a renewal that returned an error.
type failure[L any] struct {
	batch []*Watch[L]     // of which nothing else is under way
	round uint64          // in which it was sent
	empty <-chan struct{} // closed when there is nothing to be renewed any more
}

// renewOnce waits for a free slot and renews what is still to be renewed of a batch.
func (w *Watchdog[L]) renewOnce(batch []*Watch[L]) (failed failure[L], ok bool) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-w.ctx.Done():
		return failed, true
	}
	batch, done, round := w.claim(batch)
	if len(batch) == 0 {
		return failed, true
	}
	leases := make([]L, len(batch))
	for i, x := range batch {
		leases[i] = x.lease
	}
	err := w.renew(w.ctx, leases)
	failed = w.finish(batch, done)
	failed.round = round
	return failed, err == nil
}

// claim marks those of a queued batch that are still watched, and not paused, as being
// renewed.
func (w *Watchdog[L]) claim(queued []*Watch[L]) (batch []*Watch[L], done chan struct{}, round uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	done = make(chan struct{})
	batch = queued[:0]
	for _, x := range queued {
		x.queued = false
		if _, watched := w.watches[x]; !watched {
			continue
		}
		x.again = x.paused
		if !x.paused {
			x.busy = done
			batch = append(batch, x)
		}
	}
	return batch, done, w.round
}

// finish marks the batch as no longer being renewed, starts what was asked for in
// the meantime, and returns the watches of which nothing else is under way.
func (w *Watchdog[L]) finish(batch []*Watch[L], done chan struct{}) failure[L] {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(done)
	var rest, again []*Watch[L]
	for _, x := range batch {
		x.busy = nil
		if _, watched := w.watches[x]; !watched {
			continue
		}
		if x.again && x.idle() {
			again = append(again, x)
		} else {
			rest = append(rest, x)
		}
	}
	w.startLocked(again)
	if w.empty == nil && len(w.watches) > 0 {
		w.empty = make(chan struct{})
	}
	return failure[L]{batch: rest, empty: w.empty}
}

// requeue queues those of a failed batch that are still to be renewed in this round.
func (w *Watchdog[L]) requeue(failed failure[L]) []*Watch[L] {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.round != failed.round {
		return nil
	}
	var batch []*Watch[L]
	for _, x := range failed.batch {
		if _, watched := w.watches[x]; watched && x.idle() {
			x.queued = true
			batch = append(batch, x)
		} else if x.paused {
			x.again = true
		}
	}
	return batch
}

// sleep reports whether the full duration passed before there was nothing to be
// renewed any more.
func (w *Watchdog[L]) sleep(d time.Duration, empty <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-empty:
		return false
	case <-w.ctx.Done():
		return false
	}
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
