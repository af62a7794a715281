package bench

import (
	"context"
	"time"
)

// A Workload is who locks what.
type Workload struct {
	// Name is its name in the results.
	Name string
	// Clients is the number of clients, each with connections of its own, as
	// processes have.
	Clients int
	// Goroutines is the number of goroutines of each client.
	Goroutines int
	// Names is the number of locks, among which the goroutines are distributed.
	Names int
	// Hot is how many of the names most acquisitions go to. Where it is not 0,
	// each goroutine wants another name each time: nine times of ten one of the
	// hot ones.
	Hot int
	// Contexts are the kinds of context that are tried.
	Contexts []Context
	// Holds are the times for which a lock is kept that are tried. Where there is
	// only one, the results do not name it.
	Holds []time.Duration
}

// The workloads of this package.
var (
	Serial = Workload{
		Name: "serial", Clients: 1, Goroutines: 1, Names: 1,
		Contexts: []Context{Background, Cancel},
		Holds:    []time.Duration{0},
	}
	Names64 = Workload{
		Name: "64 names × 64", Clients: 1, Goroutines: 64, Names: 64,
		Contexts: []Context{Background, Cancel},
		Holds:    []time.Duration{0, time.Millisecond},
	}
	Goroutines32 = contended("1 process × 32", 1, 32)
	Clients8     = contended("8 clients × 1", 8, 1)
	Clients32    = contended("32 clients × 1", 32, 1)
	Clients8x8   = contended("8 clients × 8", 8, 8)
	Clients128   = contended("128 clients × 1", 128, 1)
	HotNames     = Workload{
		Name: "10 % hot names", Clients: 8, Goroutines: 8, Names: 100, Hot: 10,
		Contexts: []Context{Background},
		Holds:    []time.Duration{0, time.Millisecond},
	}
)

// contended returns a workload in which everybody wants the same name.
func contended(name string, clients, goroutines int) Workload {
	return Workload{
		Name: name, Clients: clients, Goroutines: goroutines, Names: 1,
		Contexts: []Context{Background},
		Holds:    []time.Duration{0, time.Millisecond},
	}
}

// Contended reports whether goroutines wait for each other.
func (w Workload) Contended() bool { return w.Hot > 0 || w.Names < w.Clients*w.Goroutines }

// A Context is a kind of context that locks are taken with.
type Context string

const (
	// Background is a context that cannot end.
	Background Context = "background"
	// Cancel is a context that can end, and does not.
	Cancel Context = "cancel"
)

// New returns a context of that kind, and what ends it.
func (c Context) New() (context.Context, context.CancelFunc) {
	if c == Cancel {
		return context.WithCancel(context.Background())
	}
	return context.Background(), func() {}
}
