package bench

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// A Contender is a way to lock.
type Contender struct {
	// Name is its name in the results.
	Name string
	// In tells which workloads it takes part in; nil: all of them.
	In func(Workload) bool
	// Open connects to the server at addr.
	Open func(addr string) (Client, error)
}

// TakesPart reports whether the contender takes part in a workload.
func (c Contender) TakesPart(w Workload) bool { return c.In == nil || c.In(w) }

// A Client is what one process has of a contender. It may be used by several
// goroutines at once.
type Client interface {
	// Mutex returns the lock of that name, for one goroutine.
	Mutex(name string) Mutex
	// Close gives back everything. Nothing is locked.
	Close() error
}

// A Mutex is a lock, as one goroutine sees it.
type Mutex interface {
	// Lock waits until it has the lock or ctx ends.
	Lock(ctx context.Context) (Held, error)
}

// Held is a lock that somebody has.
type Held interface {
	// Unlock gives it back.
	Unlock(ctx context.Context) error
}

// Contenders returns those of this package. Each call returns others: what clients of
// one contender share, they do not share with those of another call.
func Contenders() []Contender {
	return append([]Contender{
		{Name: "rlock", Open: openRlock(rlock.WithHandover(true))},
		{Name: "rlock-public", Open: openRlock(rlock.WithHandover(false))},
		{Name: "floor", Open: openFloor, In: func(w Workload) bool { return !w.Contended() }},
		{Name: "ring", Open: new(ring).open, In: Workload.Contended},
	}, spinners()...)
}

// dial returns the client of the server that every contender here has.
func dial(addr string) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{addr},
		ForceSingleClient: true,
		DisableCache:      true,
	})
}
