package watchdog_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-rlock/rlock/watchdog"
)

// BenchmarkRound is one round over 100,000 leases, in batches of 100, with a server
// that answers at once.
func BenchmarkRound(b *testing.B) {
	const leases = 100_000
	var left atomic.Int64
	done := make(chan struct{})
	dog := watchdog.New(time.Hour, 100, func(_ context.Context, batch []int) error {
		if left.Add(-int64(len(batch))) == 0 {
			done <- struct{}{}
		}
		return nil
	})
	defer dog.Close()
	for i := range leases {
		dog.Add(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		left.Store(leases)
		dog.RenewAll()
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/leases, "ns/lease")
}

// BenchmarkAddStop is what a watched lock costs that is not held until a round.
func BenchmarkAddStop(b *testing.B) {
	dog := watchdog.New(time.Hour, 100, func(context.Context, []int) error { return nil })
	defer dog.Close()
	dog.Add(0)
	b.ReportAllocs()
	for b.Loop() {
		dog.Add(1).Stop()
	}
}
