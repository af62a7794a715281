package bench

import (
	"fmt"
	"testing"

	"github.com/go-rlock/rlock/internal/redistest"
)

// Run runs a workload with each contender as sub-benchmarks of b, for each kind of
// context and each time to hold a lock. One operation is a Lock and an Unlock.
func Run(b *testing.B, server *redistest.Server, w Workload, contenders ...Contender) {
	b.Helper()
	for _, contender := range contenders {
		if !contender.TakesPart(w) {
			continue
		}
		for _, kind := range w.Contexts {
			for _, hold := range w.Holds {
				name := fmt.Sprintf("contender=%s/ctx=%s", contender.Name, kind)
				if len(w.Holds) > 1 {
					name += fmt.Sprintf("/hold=%v", hold)
				}
				b.Run(name, func(b *testing.B) {
					ctx, cancel := kind.New()
					defer cancel()
					crew := assemble(b, server, w, contender)
					if err := crew.Warm(ctx); err != nil {
						b.Fatal(err)
					}
					report(b, measure(b, server, func() (Score, error) { return crew.Work(ctx, b.N, hold) }))
				})
			}
		}
	}
}

// assemble opens the clients of a workload; they are closed when the benchmark is over.
func assemble(b *testing.B, server *redistest.Server, w Workload, contender Contender) *Crew {
	b.Helper()
	crew, err := Assemble(server.Addr(), w, contender)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := crew.Close(); err != nil {
			b.Errorf("bench: close %s: %v", contender.Name, err)
		}
	})
	return crew
}

// measure resets the timer of b and runs b.N acquisitions, and reports how many there
// were per second and what one cost the server.
func measure(b *testing.B, server *redistest.Server, work func() (Score, error)) Score {
	b.Helper()
	before := count(b, server)
	b.ReportAllocs()
	b.ResetTimer()
	score, err := work()
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	used := count(b, server).Sub(before)
	acquisitions := float64(b.N)
	b.ReportMetric(acquisitions/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(used.Commands)/acquisitions, "cmds/acq")
	b.ReportMetric(float64(used.CPU.Microseconds())/acquisitions, "redis-µs/acq")
	b.ReportMetric(float64(used.Bytes)/acquisitions, "bytes/acq")
	return score
}

func count(b *testing.B, server *redistest.Server) Counters {
	b.Helper()
	c, err := Count(b.Context(), server)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// report reports how long the members of a crew waited.
func report(b *testing.B, s Score) {
	b.Helper()
	b.ReportMetric(float64(s.Waits.ValueAtPercentile(50)), "p50-wait-ns")
	b.ReportMetric(float64(s.Waits.ValueAtPercentile(99)), "p99-wait-ns")
	b.ReportMetric(float64(s.Waits.Max()), "max-wait-ns")
}
