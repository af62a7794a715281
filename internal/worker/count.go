//go:build unix

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/go-rlock/rlock/rlock"
)

// A Tally is what a process that counts has done.
type Tally struct {
	Acquired int // the counter was incremented as often
	Skipped  int // TryLock was not given the lock in time
	Lost     int // holds that ended before Unlock
	Faults   int // faults of the server
	// First is when the process first had the lock, in milliseconds of the wall clock.
	First int64
	// Overlap is what the witness saw if it saw two inside at once.
	Overlap string
}

// A counting worker runs goroutines that lock and count.
type counting struct {
	*worker
	ctx  context.Context // done when the parent says so, or something went wrong
	stop context.CancelFunc

	mu    sync.Mutex // protects tally
	tally Tally
}

func (w *worker) count() error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	c := &counting{worker: w, ctx: ctx, stop: stop}
	listening := make(chan struct{})
	go func() { // it leaves when the parent calls Finish
		defer close(listening)
		for {
			if _, err := w.in.ReadString('\n'); err != nil {
				if w.Rounds == 0 {
					stop()
				}
				return
			}
			c.report()
		}
	}()

	errs := make([]error, w.Goroutines)
	var wg sync.WaitGroup
	for g := range w.Goroutines {
		wg.Go(func() {
			if errs[g] = c.run(g); errs[g] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	c.report()
	<-listening
	return errors.Join(errs...)
}

func (c *counting) report() {
	c.mu.Lock()
	text, err := json.Marshal(c.tally)
	c.mu.Unlock()
	if err != nil {
		text = []byte(err.Error())
	}
	c.say("%s", text)
}

func (c *counting) run(g int) error {
	mind, err := newWitness(c.Witness, c.Name, g)
	if err != nil {
		return err
	}
	defer mind.close()
	for i := 0; c.Rounds == 0 || i < c.Rounds; i++ {
		if c.ctx.Err() != nil {
			return nil
		}
		err := c.turn(mind, g+i)
		switch {
		case err == nil:
		case errors.Is(err, errOverlap):
			c.note(func(t *Tally) { t.Overlap = err.Error() })
			c.stop()
			return nil
		case c.Faulty && c.excuse(err):
		default:
			return err
		}
	}
	return nil
}

func (c *counting) note(what func(t *Tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what(&c.tally)
}

// excuse reports whether the error is of a kind that a restart of the server explains.
func (c *counting) excuse(err error) bool {
	var lost *rlock.LostError
	switch {
	case errors.As(err, &lost):
		c.note(func(t *Tally) { t.Lost++ })
	case kind(err) == fault:
		c.note(func(t *Tally) { t.Faults++ })
		select { // the server needs the processor more than we do
		case <-time.After(time.Millisecond):
		case <-c.ctx.Done():
		}
	default:
		return false
	}
	return true
}

// inside is what needs the lock.
func (c *counting) inside(mind *witness) error {
	if !c.Faulty {
		if err := mind.enter(); err != nil {
			return err
		}
	}
	c.note(func(t *Tally) {
		if t.Acquired++; t.First == 0 {
			t.First = time.Now().UnixMilli()
		}
	})
	if err := mind.increment(); err != nil || c.Faulty {
		return err
	}
	return mind.leave()
}

// turn locks, in one of the ways that there are, counts and unlocks.
func (c *counting) turn(mind *witness, way int) error {
	if c.Unlocked {
		return c.inside(mind)
	}
	ctx := context.Background()
	lock := c.client.NewLock(c.Name)
	switch way % 6 {
	case 0:
		return c.hold(ctx, mind)(lock.Lock(ctx))
	case 1:
		return c.try(ctx, mind, lock, time.Minute, rlock.WithLease(time.Minute))
	case 2:
		return lock.Do(ctx, func(context.Context) error { return c.inside(mind) })
	case 3: // within a hold, which ends first
		outer, err := lock.Lock(ctx)
		if err != nil {
			return err
		}
		inner, err := lock.Lock(ctx)
		if err != nil {
			return errors.Join(err, outer.Unlock(ctx))
		}
		return errors.Join(outer.Unlock(ctx), c.hold(ctx, mind)(inner, nil))
	case 4: // with a context that can end and an owner of its own
		ctx, cancel := context.WithCancel(rlock.WithOwner(ctx, rlock.NewOwner()))
		defer cancel()
		return c.hold(ctx, mind)(lock.Lock(ctx))
	default:
		return c.try(ctx, mind, lock, time.Millisecond)
	}
}

// try is a turn with TryLock, which may be in vain.
func (c *counting) try(ctx context.Context, mind *witness, lock *rlock.Lock, wait time.Duration, options ...rlock.LockOption) error {
	hold, err := lock.TryLock(ctx, wait, options...)
	if errors.Is(err, rlock.ErrNotAcquired) {
		c.note(func(t *Tally) { t.Skipped++ })
		return nil
	}
	return c.hold(ctx, mind)(hold, err)
}

// hold returns a function that takes what Lock or TryLock returned and does the rest.
func (c *counting) hold(ctx context.Context, mind *witness) func(*rlock.Hold, error) error {
	return func(hold *rlock.Hold, err error) error {
		if err != nil {
			return err
		}
		err = c.inside(mind)
		return errors.Join(err, hold.Unlock(ctx))
	}
}
