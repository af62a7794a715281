package rlock

import (
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
// locks are given back, as far as the server answers within 3 seconds. What could not
// be given back is an error; it ends with its lease.
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
	c.running++ // Close, until it has started what is to be given back
	close(c.closing)
	rooms := make([]*room, 0, len(c.rooms))
	for _, r := range c.rooms {
		rooms = append(rooms, r)
	}
	c.mu.Unlock()

	returned := c.giveUp(rooms)
	c.finish(nil)
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	c.workers.close()
	select {
	case <-c.quiet:
		c.workers.wait()
	case <-limit.C:
	}
	close(c.abort)
	c.closeErr = returned()
	c.alarm.stop()
	c.dog.Close()
	c.hub.Close()
	close(c.closed)
	return c.closeErr
}

// giveUp ends all holds and starts to give their locks back. What it returns tells what
// came of it so far.
func (c *Client) giveUp(rooms []*room) (returned func() error) {
	var holders []*tenure
	for _, r := range rooms {
		holders = append(holders, r.close()...)
	}
	for _, t := range holders {
		t.lose(ClientClosed)
	}
	var (
		mu      sync.Mutex // protects results
		results = make([]error, len(holders))
		next    = make(chan int, len(holders))
	)
	for i := range holders {
		results[i] = errNoAnswer
		next <- i
	}
	close(next)
	give := func() {
		for i := range next {
			err := holders[i].surrender()
			mu.Lock()
			results[i] = err
			mu.Unlock()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for range min(closeWorkers, len(holders)) {
		c.startLocked(nil, nil, give)
	}
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		var errs []error
		for i, err := range results {
			if err != nil {
				errs = append(errs, explain("close: give back", holders[i].room.name, err))
			}
		}
		return errors.Join(errs...)
	}
}
