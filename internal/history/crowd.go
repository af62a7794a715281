//go:build unix

package history

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-rlock/rlock/rlock"
)

// together acts with one lock in two or three goroutines at once, which are one owner.
// In the end it has no hold left.
func (p *player) together(crowds Crowds) {
	lock, patient := p.choose(crowds.Names, crowds.Patient)
	var wg sync.WaitGroup
	for range 2 + p.rng.IntN(2) {
		one := *p
		one.rng = rand.New(rand.NewPCG(p.rng.Uint64(), p.rng.Uint64()))
		wg.Go(func() {
			for range 1 + one.rng.IntN(3) {
				one.share(lock, patient)
			}
		})
	}
	wg.Wait()
	p.count(lock)
}

// share does one thing that leaves the holds of the owner's other goroutines alone.
func (p *player) share(lock *rlock.Lock, patient bool) {
	if !patient && p.rng.IntN(3) == 0 {
		p.hurry(lock)
		return
	}
	switch n := p.rng.IntN(100); {
	case n < 35:
		p.brief(p.lock(lock))
	case n < 55:
		p.brief(p.try(lock, 0))
	case n < 75:
		p.nest(lock)
	case n < 80:
		p.brief(p.lock(lock, rlock.WithLease(2*time.Second)))
	case n < 82:
		p.overstay(lock)
	case n < 95:
		p.count(lock)
	default:
		p.ask(lock)
	}
}
