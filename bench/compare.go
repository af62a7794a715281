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
			ctx, cancel := kind.make()
			defer cancel()
			crews := [2]*crew{assemble(b, server.Addr(), w, one), assemble(b, server.Addr(), w, other)}
			for _, c := range crews {
				c.warm(ctx)
			}
			var (
				took   [2][]float64 // nanoseconds of one acquisition
				ratios []float64
				n      = min(block*len(crews[0].members), longBlock)
			)
			b.ResetTimer()
			for i := range b.N {
				var pair [2]float64
				for turn := range crews {
					j := (i + turn) % 2 // the order alternates
					pair[j] = crews[j].time(ctx, n)
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

// time makes the crew lock and unlock n times altogether and returns how many
// nanoseconds that took, for one of them.
func (c *crew) time(ctx context.Context, n int) float64 {
	began := time.Now()
	c.work(ctx, n, 0)
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
