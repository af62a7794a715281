package bench

import (
	"context"
	"time"
)

// A Workload is who locks what.
type Workload struct {
	// Clients is the number of clients, each with connections of its own.
	Clients int
	// Goroutines is the number of goroutines of each client.
	Goroutines int
	// Names is the number of locks, among which the goroutines are distributed.
	Names int
	// Contexts are the kinds of context that are tried.
	Contexts []Context
	// Holds are the times for which a lock is kept that are tried. Where there is
	// only one, the results do not name it.
	Holds []time.Duration
}

// The workloads of this package.
var (
	Serial = Workload{
		Clients: 1, Goroutines: 1, Names: 1,
		Contexts: []Context{Background, Cancel},
		Holds:    []time.Duration{0},
	}
	Names64 = Workload{
		Clients: 1, Goroutines: 64, Names: 64,
		Contexts: []Context{Background, Cancel},
		Holds:    []time.Duration{0, time.Millisecond},
	}
	Goroutines32 = Workload{
		Clients: 1, Goroutines: 32, Names: 1,
		Contexts: []Context{Background},
		Holds:    []time.Duration{0, time.Millisecond},
	}
	Clients8 = Workload{
		Clients: 8, Goroutines: 1, Names: 1,
		Contexts: []Context{Background},
		Holds:    []time.Duration{0, time.Millisecond},
	}
)

// Contended reports whether goroutines wait for each other.
func (w Workload) Contended() bool { return w.Names < w.Clients*w.Goroutines }

// A Context is a kind of context that locks are taken with.
type Context string

const (
	// Background is a context that cannot end.
	Background Context = "background"
	// Cancel is a context that can end, and does not.
	Cancel Context = "cancel"
)

// make returns a context of that kind, and what ends it.
func (c Context) make() (context.Context, context.CancelFunc) {
	if c == Cancel {
		return context.WithCancel(context.Background())
	}
	return context.Background(), func() {}
}
