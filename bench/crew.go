package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Crew is the goroutines of a workload, with the clients that they share.
type Crew struct {
	clients []Client
	members []*member
}

// Assemble opens the clients of a workload, which reach the server at addr.
func Assemble(addr string, w Workload, contender Contender) (*Crew, error) {
	c := new(Crew)
	for range w.Clients {
		client, err := contender.Open(addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("bench: open %s: %w", contender.Name, err), c.Close())
		}
		c.clients = append(c.clients, client)
		for range w.Goroutines {
			c.members = append(c.members, newMember(client, contender.Name, w, len(c.members)))
		}
	}
	return c, nil
}

// Close closes the clients. Nobody is at work.
func (c *Crew) Close() error {
	var errs []error
	for _, client := range c.clients {
		errs = append(errs, client.Close())
	}
	return errors.Join(errs...)
}

// Warm lets each member have its lock, and each client have locks a few times, so that
// the connections are there, which the Redis client makes one by one when it first picks
// them, and the scripts are loaded.
func (c *Crew) Warm(ctx context.Context) error {
	const perClient = 40
	times := max(perClient*len(c.clients)/len(c.members), 1)
	for _, m := range c.members {
		for range times {
			if err := m.turn(ctx, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Work makes the crew lock and unlock n times altogether.
func (c *Crew) Work(ctx context.Context, n int, hold time.Duration) (Score, error) {
	var begun atomic.Int64
	wait := c.start(ctx, time.Time{}, hold, func() bool { return begun.Add(1) <= int64(n) })
	err := wait()
	return c.score(), err
}

// WorkFor makes the crew lock and unlock during the window, and waits for those that
// are at it when the window is over, but not longer than patience. The score tells
// who was still waiting then; in that case the crew cannot be used any more, and the
// clients cannot be closed.
func (c *Crew) WorkFor(ctx context.Context, window, patience, hold time.Duration) (Score, error) {
	end := time.Now().Add(window)
	wait := c.start(ctx, end, hold, func() bool { return time.Now().Before(end) })
	done := make(chan error, 1)
	go func() { done <- wait() }()
	limit := time.NewTimer(window + patience)
	defer limit.Stop()
	select {
	case err := <-done:
		return c.score(), err
	case <-limit.C:
		return c.score(), nil
	}
}

// start sets the members to work, each for as long as more says so, and returns what
// waits for them. What is acquired before end, if there is one, counts.
func (c *Crew) start(ctx context.Context, end time.Time, hold time.Duration, more func() bool) (wait func() error) {
	for _, m := range c.members {
		m.begin(end)
	}
	errs := make([]error, len(c.members))
	work := func(i int) {
		m := c.members[i]
		for errs[i] == nil && more() {
			errs[i] = m.turn(ctx, hold)
		}
	}
	if len(c.members) == 1 && end.IsZero() {
		work(0)
		return func() error { return errs[0] }
	}
	var wg sync.WaitGroup
	for i := range c.members {
		wg.Go(func() { work(i) })
	}
	return func() error {
		wg.Wait()
		return errors.Join(errs...)
	}
}

// A Score is what a crew did.
type Score struct {
	// Acquired is how often each member had a lock within the window.
	Acquired []int
	// All is how often altogether, with those who had begun to wait within the
	// window and got it afterwards.
	All int
	// Waits is how long Lock took, in nanoseconds, each time of those; and how
	// long those who got nothing waited.
	Waits *hdrhistogram.Histogram
	// Stuck is how many those are.
	Stuck int
}

// score returns what the members have done since they were started.
func (c *Crew) score() Score {
	s := Score{Waits: newHistogram()}
	for _, m := range c.members {
		m.addTo(&s)
	}
	return s
}

// newHistogram returns a histogram of durations in nanoseconds.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(10*time.Minute), 3)
}

// A member is one goroutine of a crew.
type member struct {
	mutexes []Mutex
	hot     int // of these; 0: there is one mutex

	mu       sync.Mutex // protects what follows: a stuck member is looked at while it works
	end      time.Time
	began    time.Time // to wait; zero: it does not
	waits    *hdrhistogram.Histogram
	acquired int // before end
	all      int
}

func newMember(client Client, contender string, w Workload, number int) *member {
	// The kinds of locks differ on the server, so the names do, too.
	name := func(i int) string { return fmt.Sprintf("bench:%s:%d", contender, i) }
	m := &member{hot: w.Hot, waits: newHistogram()}
	if w.Hot == 0 {
		m.mutexes = []Mutex{client.Mutex(name(number % w.Names))}
		return m
	}
	for i := range w.Names {
		m.mutexes = append(m.mutexes, client.Mutex(name(i)))
	}
	return m
}

// pick returns the lock that the member wants next.
func (m *member) pick() Mutex {
	switch {
	case m.hot == 0:
		return m.mutexes[0]
	case rand.N(10) > 0:
		return m.mutexes[rand.N(m.hot)]
	default:
		return m.mutexes[m.hot+rand.N(len(m.mutexes)-m.hot)]
	}
}

// turn locks and unlocks once.
func (m *member) turn(ctx context.Context, hold time.Duration) error {
	mutex := m.pick()
	m.wait()
	held, err := mutex.Lock(ctx)
	if err != nil {
		return fmt.Errorf("bench: lock: %w", err)
	}
	m.acquire()
	if hold > 0 {
		time.Sleep(hold)
	}
	if err := held.Unlock(ctx); err != nil {
		return fmt.Errorf("bench: unlock: %w", err)
	}
	return nil
}

// begin forgets what the member did before.
func (m *member) begin(end time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.end, m.acquired, m.all = end, 0, 0
	m.waits.Reset()
}

func (m *member) wait() {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.began = now
}

func (m *member) acquire() {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.waits.RecordValue(now.Sub(m.began).Nanoseconds()) // fails above ten minutes
	m.began = time.Time{}
	m.all++
	if m.end.IsZero() || now.Before(m.end) {
		m.acquired++
	}
}

// addTo adds what the member did to a score.
func (m *member) addTo(s *Score) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Acquired = append(s.Acquired, m.acquired)
	s.All += m.all
	s.Waits.Merge(m.waits)
	if !m.began.IsZero() {
		s.Stuck++
		_ = s.Waits.RecordValue(time.Since(m.began).Nanoseconds())
	}
}
