//go:build unix

package history

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-rlock/rlock/rlock"
)

// A player is one owner of locks in one goroutine. It calls the library and has what
// it did written down.
type player struct {
	scribe *scribe
	client *rlock.Client
	rng    *rand.Rand
	owner  string
	ctx    context.Context // with the owner, if it is not the goroutine
	// careless players believe that their holds last for ever: the mistake that a
	// check must find.
	careless bool
}

// A grip is a hold in the hands of a player.
type grip struct {
	hold   *rlock.Hold
	number int64
	seen   int64 // see Record.Seen
}

// acquire calls Lock or TryLock, as take says, and returns nil if it got nothing.
func (p *player) acquire(lock *rlock.Lock, bounded bool, take func() (*rlock.Hold, error)) *grip {
	r := Record{Name: lock.Name(), Owner: p.owner, Op: Acquire, Bounded: bounded}
	r.Call = now()
	hold, err := take()
	r.Return = now()
	r.judge(err, Locked)
	if err != nil {
		p.scribe.write(r)
		return nil
	}
	g := &grip{hold: hold, number: p.scribe.holds.Add(1)}
	if p.lasts(hold) {
		g.seen = r.Return
	}
	r.Hold = g.number
	p.scribe.write(r)
	return g
}

func (p *player) lock(lock *rlock.Lock, options ...rlock.LockOption) *grip {
	return p.acquire(lock, false, func() (*rlock.Hold, error) { return lock.Lock(p.ctx, options...) })
}

func (p *player) try(lock *rlock.Lock, wait time.Duration) *grip {
	return p.acquire(lock, wait > 0, func() (*rlock.Hold, error) { return lock.TryLock(p.ctx, wait) })
}

// lasts asks the hold whether it lasts.
func (p *player) lasts(hold *rlock.Hold) bool { return p.careless || hold.Err() == nil }

// look asks the hold whether it lasted until a moment ago, and returns that moment.
func (p *player) look(g *grip) (at int64, lasts bool) {
	at = now()
	if lasts = p.lasts(g.hold); lasts {
		g.seen = at
	}
	return at, lasts
}

// stay is what needs the lock: it looks again and again for as long as d, or until the
// hold has ended.
func (p *player) stay(g *grip, d time.Duration) {
	const pace = 100 * time.Microsecond
	began := now()
	for {
		at, lasts := p.look(g)
		left := d - time.Duration(at-began)
		if !lasts || left <= 0 {
			return
		}
		time.Sleep(min(left, pace))
	}
}

// release calls Unlock, as give says, until the outcome is known.
func (p *player) release(g *grip, give func() error) {
	const first, longest = time.Millisecond, 50 * time.Millisecond
	for delay := first; ; delay = min(2*delay, longest) {
		r := Record{Name: g.hold.Name(), Owner: p.owner, Op: Release, Hold: g.number}
		r.Call, _ = p.look(g)
		r.Seen = g.seen
		err := give()
		r.Return = now()
		r.judge(err, Released)
		p.scribe.write(r)
		if r.Result.known() || p.ctx.Err() != nil {
			return
		}
		time.Sleep(delay)
	}
}

func (p *player) unlock(g *grip) {
	p.release(g, func() error { return g.hold.Unlock(p.ctx) })
}

// unlockNothing calls Unlock of a lock of which the owner has no hold.
func (p *player) unlockNothing(lock *rlock.Lock) {
	r := Record{Name: lock.Name(), Owner: p.owner, Op: Release, Call: now()}
	err := lock.Unlock(p.ctx)
	r.Return = now()
	r.judge(err, Released)
	p.scribe.write(r)
}

func (p *player) count(lock *rlock.Lock) {
	r := Record{Name: lock.Name(), Owner: p.owner, Op: Count, Call: now()}
	n, err := lock.HoldCount(p.ctx)
	r.Return = now()
	r.Holds = n
	r.judge(err, Counted)
	p.scribe.write(r)
}

func (p *player) ask(lock *rlock.Lock) {
	r := Record{Name: lock.Name(), Owner: p.owner, Op: Ask, Call: now()}
	locked, err := lock.IsLocked(p.ctx)
	r.Return = now()
	r.judge(err, Free)
	if err == nil && locked {
		r.Result = Taken
	}
	p.scribe.write(r)
}

// judge sets the result: the given one if there is no error.
func (r *Record) judge(err error, success Result) {
	var lost *rlock.LostError
	switch {
	case err == nil:
		r.Result = success
	case errors.As(err, &lost) && lost.Reason == rlock.Removed:
		r.Result = Removed
	case errors.As(err, &lost):
		r.Result = Lost
	case errors.Is(err, rlock.ErrNotHeld):
		r.Result = NotHeld
	case errors.Is(err, rlock.ErrNotAcquired):
		r.Result = Refused
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		r.Result = Cancelled
	default:
		r.Result, r.Note = Fault, err.Error()
	}
}
