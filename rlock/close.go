package rlock

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// closeLimit is how long Close tries to give locks back.
	closeLimit = 3 * time.Second
	// closeWorkers is how many locks Close gives back at a time.
	closeWorkers = 32
)

// Close ends what the client does and waits for its goroutines: waiters get
// ErrClosed; holds end with a *LostError whose reason is ClientClosed, and their
// locks are given back, as far as the server answers within 3 seconds; those with a
// WithMinHold stay taken for the rest of it. What could not be given back is an error; it
// ends with its lease.
//
// Where the server does not answer, Close returns after some seconds all the same; a
// goroutine that waits for an answer then ends when the Redis client gives up (see its
// ConnWriteTimeout).
//
// Close does not close the Redis client. It may be called again, and by several
// goroutines; all calls return the same when the first has ended.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		<-c.closed
		return c.closeErr
	}
	c.ended = true
	c.running.Add(1) // Close, until it has started what is to be given back
	close(c.closing)
	rooms := make([]*room, 0, len(c.rooms))
	for _, r := range c.rooms {
		rooms = append(rooms, r)
	}
	c.mu.Unlock()

	c.presence.close()
	returned := c.giveUp(rooms)
	c.finish(nil)
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	quiet := true
	select {
	case <-c.quiet:
	case <-limit.C:
		quiet = false
		c.mu.Lock()
		c.over = true
		c.mu.Unlock()
	}
	close(c.abort)
	c.workers.close()
	if quiet {
		c.workers.wait()
	}
	c.closeErr = returned()
	c.alarm.stop()
	c.dog.Close()
	c.hub.Close()
	close(c.closed)
	return c.closeErr
}

// giveUp ends all holds and starts to give back what this client has on the server.
// What it returns tells what came of it so far.
func (c *Client) giveUp(rooms []*room) (returned func() error) {
	type debt struct {
		room *room
		pay  func(context.Context) error
	}
	var debts []debt
	for _, r := range rooms {
		for _, pay := range r.close() {
			debts = append(debts, debt{r, pay})
		}
	}
	var (
		mu      sync.Mutex // protects results
		results = make([]error, len(debts))
		next    = make(chan int, len(debts))
	)
	for i := range debts {
		results[i] = &fault{err: errNoAnswer, unanswered: true}
		next <- i
	}
	close(next)
	give := func() {
		for i := range next {
			err := debts[i].pay(context.Background())
			mu.Lock()
			results[i] = err
			mu.Unlock()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for range min(closeWorkers, len(debts)) {
		c.startLocked(nil, c.job(nil, give))
	}
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		var errs []error
		for i, err := range results {
			if err != nil {
				errs = append(errs, explain("close: give back", debts[i].room.names.lock, err))
			}
		}
		return errors.Join(errs...)
	}
}
