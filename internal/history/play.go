//go:build unix

package history

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-rlock/rlock/internal/worker"
	"github.com/go-rlock/rlock/rlock"
)

// Role is the duty of a process that locks at random and records what it did. Its task
// is a Task. It says "ready", begins when it is told anything, says how many operations
// it has recorded every second, and "done" when its file is complete.
var Role = worker.Role{Duty: "record", Play: play}

// A Task is what a recording process does.
type Task struct {
	Process    int    // its number, from 1
	File       string // for the records
	Operations int    // how many to record at least, beside those of crowds
	Owners     int    // how many goroutines lock, each as an owner of its own
	Seed       uint64

	// Names are locks on which players do everything that they can do.
	Names []string
	// Patient are locks on which nobody gives up a wait, so that there is never an
	// attempt of which only the library knows.
	Patient []string
	Crowds  Crowds
	// Long is a lock that one more owner holds for Linger, or down to half of it, each
	// time; there is none if it is empty.
	Long   string
	Linger time.Duration
	// Careless makes the players believe that their holds last for ever.
	Careless bool
}

// Crowds are owners each of which locks in several goroutines at once. What they do comes
// on top of the task's Operations, and into a file of its own.
type Crowds struct {
	Owners         int
	Names, Patient []string // of their locks, which nobody else uses
}

func play(job worker.Job, client *rlock.Client, in *bufio.Reader, say func(string, ...any)) (err error) {
	var task Task
	if err := json.Unmarshal(job.Task, &task); err != nil {
		return fmt.Errorf("history: the task: %w", err)
	}
	s, err := newScribe(task.File)
	if err != nil {
		return err
	}
	crowds, err := newScribe(task.File + ".crowds")
	if err != nil {
		return errors.Join(err, s.close())
	}
	s.holds.Store(int64(task.Process) << 32)
	crowds.holds.Store(int64(task.Process)<<32 | 1<<31)
	say("ready")
	if _, err := in.ReadString('\n'); err != nil {
		return errors.Join(err, s.close(), crowds.close())
	}

	over := make(chan struct{})
	var telling, playing sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				say("%d", s.count.Load())
			case <-over:
				return
			}
		}
	})
	enough := func() bool { return s.count.Load() >= int64(task.Operations) }
	for i := range task.Owners {
		playing.Go(func() {
			p := newPlayer(task, s, client, i)
			if i == 0 { // its holds may go from one goroutine to another
				p.ctx = rlock.WithOwner(p.ctx, rlock.NewOwner())
			}
			for !enough() {
				p.turn(task)
			}
		})
	}
	for i := range task.Crowds.Owners {
		playing.Go(func() {
			p := newPlayer(task, crowds, client, task.Owners+1+i)
			p.ctx = rlock.WithOwner(p.ctx, rlock.NewOwner())
			for !enough() {
				p.together(task.Crowds)
			}
		})
	}
	if task.Long != "" {
		playing.Go(func() {
			p := newPlayer(task, s, client, task.Owners)
			for !enough() {
				p.linger(task)
			}
		})
	}
	playing.Wait()
	close(over)
	telling.Wait()
	if err := errors.Join(s.close(), crowds.close()); err != nil {
		return err
	}
	say("done")
	_, err = io.Copy(io.Discard, in) // until the parent calls Finish
	return err
}

func newPlayer(task Task, s *scribe, client *rlock.Client, i int) *player {
	return &player{
		scribe:   s,
		client:   client,
		rng:      rand.New(rand.NewPCG(task.Seed, uint64(task.Process)<<32|uint64(i))),
		owner:    fmt.Sprintf("%d/%d", task.Process, i),
		ctx:      context.Background(),
		careless: task.Careless,
	}
}

// turn does one thing with one lock. The first ones of each kind are wanted most.
func (p *player) turn(task Task) {
	lock, patient := p.choose(task.Names, task.Patient)
	if !patient && p.rng.IntN(4) == 0 {
		p.hurry(lock)
		return
	}
	p.plainly(lock)
}

// choose returns a lock, and whether nobody may give up a wait for it.
func (p *player) choose(names, patient []string) (lock *rlock.Lock, isPatient bool) {
	isPatient = p.rng.IntN(3) == 0 || len(names) == 0
	if isPatient && len(patient) > 0 {
		names = patient
	}
	return p.client.NewLock(names[p.rng.IntN(1+p.rng.IntN(len(names)))]), isPatient
}

// plainly does something that gives up no wait.
func (p *player) plainly(lock *rlock.Lock) {
	switch n := p.rng.IntN(100); {
	case n < 45:
		p.brief(p.lock(lock))
	case n < 65:
		p.brief(p.try(lock, 0))
	case n < 80:
		p.nest(lock)
	case n < 85:
		p.brief(p.lock(lock, rlock.WithLease(2*time.Second)))
	case n < 86:
		p.overstay(lock)
	case n < 90:
		p.unlockNothing(lock)
	case n < 95:
		p.ask(lock)
	default:
		p.single(lock)
	}
}

// hurry does something that may give up a wait.
func (p *player) hurry(lock *rlock.Lock) {
	wait := time.Duration(p.rng.IntN(int(8 * time.Millisecond)))
	if p.rng.IntN(2) == 0 {
		p.brief(p.try(lock, wait+time.Microsecond))
		return
	}
	limited := *p
	ctx, cancel := context.WithTimeout(p.ctx, wait)
	defer cancel()
	limited.ctx = ctx
	p.brief(limited.acquire(lock, true, func() (*rlock.Hold, error) { return lock.Lock(ctx) }))
}

// brief holds for a moment, if there is a hold, and unlocks.
func (p *player) brief(g *grip) {
	if g == nil {
		return
	}
	if p.rng.IntN(4) == 0 {
		p.stay(g, time.Duration(p.rng.IntN(int(500*time.Microsecond))))
	}
	p.unlock(g)
}

// nest takes several holds at once, counts them, and gives them back in any order.
func (p *player) nest(lock *rlock.Lock) {
	outer := p.lock(lock)
	if outer == nil {
		return
	}
	grips := []*grip{outer}
	for range 1 + p.rng.IntN(2) {
		if g := p.again(lock); g != nil {
			grips = append(grips, g)
		}
		p.count(lock)
	}
	p.rng.Shuffle(len(grips), func(i, j int) { grips[i], grips[j] = grips[j], grips[i] })
	for _, g := range grips {
		p.unlock(g)
		if p.rng.IntN(2) == 0 {
			p.count(lock)
		}
	}
}

// again re-enters, in another goroutine if the owner is not this one.
func (p *player) again(lock *rlock.Lock) (g *grip) {
	switch p.rng.IntN(4) {
	case 0:
		return p.try(lock, 0)
	case 1:
		return p.lock(lock, rlock.WithLease(50*time.Millisecond))
	}
	if p.ctx == context.Background() {
		return p.lock(lock)
	}
	var wg sync.WaitGroup
	wg.Go(func() { g = p.lock(lock) })
	wg.Wait()
	return g
}

// overstay holds for longer than its lease.
func (p *player) overstay(lock *rlock.Lock) {
	lease := 10*time.Millisecond + time.Duration(p.rng.IntN(int(20*time.Millisecond)))
	g := p.lock(lock, rlock.WithLease(lease))
	if g == nil {
		return
	}
	p.stay(g, lease+5*time.Millisecond)
	p.unlock(g)
}

// single takes one hold and gives it back as the owner's innermost.
func (p *player) single(lock *rlock.Lock) {
	g := p.lock(lock)
	if g == nil {
		return
	}
	p.release(g, func() error { return lock.Unlock(p.ctx) })
}

// linger holds for long, if it can.
func (p *player) linger(task Task) {
	g := p.lock(p.client.NewLock(task.Long))
	if g == nil {
		return
	}
	p.stay(g, task.Linger-time.Duration(p.rng.Int64N(int64(task.Linger/2))))
	p.unlock(g)
}
