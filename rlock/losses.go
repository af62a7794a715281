package rlock

import "sync"

// maxLosses is how many losses a client remembers for owners who have not asked.
const maxLosses = 1024

type lossKey struct {
	name  string
	owner Owner
}

// losses remembers why holds were lost, so that Lock.Unlock, which has no Hold at
// hand, can say more than that there is none. The oldest are forgotten first. The
// zero value is ready to use.
type losses struct {
	mu    sync.Mutex
	last  map[lossKey]*LostError // nil: it was taken
	order []lossKey              // oldest first; may name a key twice
}

func (l *losses) add(key lossKey, lost *LostError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = make(map[lossKey]*LostError)
	}
	l.last[key] = lost
	l.order = append(l.order, key)
	for len(l.order) > maxLosses {
		delete(l.last, l.order[0])
		l.order = l.order[1:]
	}
}

// take returns the loss, once, or nil.
func (l *losses) take(key lossKey) *LostError {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.last[key]
	if lost != nil {
		l.last[key] = nil
	}
	return lost
}

// has reports whether a loss is remembered, also one that was taken: what was lost may
// still be there.
func (l *losses) has(key lossKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.last[key]
	return ok
}
