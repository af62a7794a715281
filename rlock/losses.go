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
	last  map[lossKey]*LostError
	order []lossKey // oldest first; may name keys that were taken since
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

// take returns the loss and forgets it, or returns nil.
func (l *losses) take(key lossKey) *LostError {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.last[key]
	delete(l.last, key)
	return lost
}

// has reports whether a loss is remembered.
func (l *losses) has(key lossKey) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last[key] != nil
}
