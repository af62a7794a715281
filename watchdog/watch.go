package watchdog

// A Watch is one lease under a Watchdog's care.
type Watch[L any] struct {
	dog    *Watchdog[L]
	lease  L
	queued bool          // its batch waits for a free slot
	busy   chan struct{} // closed when the renewal under way ends; nil if there is none
	paused bool
	again  bool // a renewal was asked for that could not start at once
}

// idle reports whether a renewal may be queued.
func (x *Watch[L]) idle() bool { return x.busy == nil && !x.queued && !x.paused }

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
// way. Pauses are not counted: one Resume ends them all. Like Stop, it must not be
// called by the renew function.
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

// Resume ends a Pause. A renewal that was due or asked for in the meantime starts
// now.
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
		if len(w.watches) == 0 && w.empty != nil {
			close(w.empty)
			w.empty = nil
		}
	}
	return x.busy
}
