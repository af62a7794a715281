package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-rlock/rlock/internal/redistest"
)

const (
	// block is how often each goroutine locks before the other contender is on.
	block = 50
	// longBlock is how often they do so altogether at most.
	longBlock = 1000
)

// Compare measures how much more time a workload takes with one contender than with
// another, for each kind of context, as sub-benchmarks of b. The two take turns in
// short blocks, and what counts is the median over pairs of blocks, so that whatever
// else the machine does meets both. One operation is a pair.
func Compare(b *testing.B, server *redistest.Server, w Workload, one, other Contender) {
	b.Helper()
	for _, kind := range w.Contexts {
		b.Run(fmt.Sprintf("ctx=%s", kind), func(b *testing.B) {
			ctx, cancel := kind.New()
			defer cancel()
			crews := [2]*Crew{assemble(b, server, w, one), assemble(b, server, w, other)}
			for _, c := range crews {
				if err := c.Warm(ctx); err != nil {
					b.Fatal(err)
				}
			}
			var (
				took   [2][]float64 // nanoseconds of one acquisition
				ratios []float64
				n      = min(block*w.Clients*w.Goroutines, longBlock)
			)
			b.ResetTimer()
			for i := range b.N {
				var pair [2]float64
				for turn := range crews {
					j := (i + turn) % 2 // the order alternates
					pair[j] = clock(ctx, b, crews[j], n)
					took[j] = append(took[j], pair[j])
				}
				ratios = append(ratios, pair[0]/pair[1])
			}
			b.StopTimer()
			b.ReportMetric(median(took[0]), one.Name+"-ns")
			b.ReportMetric(median(took[1]), other.Name+"-ns")
			b.ReportMetric(median(ratios), "ratio")
		})
	}
}

// clock makes the crew lock and unlock n times altogether and returns how many
// nanoseconds that took, for one of them.
func clock(ctx context.Context, b *testing.B, crew *Crew, n int) float64 {
	b.Helper()
	began := time.Now()
	if _, err := crew.Work(ctx, n, 0); err != nil {
		b.Fatal(err)
	}
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
