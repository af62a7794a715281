package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-rlock/rlock/internal/redistest"
)

// Run runs a workload with each contender as sub-benchmarks of b, for each kind of
// context and each time to hold a lock. One operation is a Lock and an Unlock.
func Run(b *testing.B, server *redistest.Server, w Workload, contenders ...Contender) {
	b.Helper()
	for _, contender := range contenders {
		if contender.Bare && w.Contended() {
			continue
		}
		for _, kind := range w.Contexts {
			for _, hold := range w.Holds {
				name := fmt.Sprintf("contender=%s/ctx=%s", contender.Name, kind)
				if len(w.Holds) > 1 {
					name += fmt.Sprintf("/hold=%v", hold)
				}
				b.Run(name, func(b *testing.B) {
					ctx, cancel := kind.make()
					defer cancel()
					crew := assemble(b, server.Addr(), w, contender)
					crew.warm(ctx)
					measure(b, server, func() { crew.work(ctx, b.N, hold) })
					crew.report()
				})
			}
		}
	}
}

// measure resets the timer of b and runs b.N acquisitions, and reports how many there
// were per second and what one cost the server.
func measure(b *testing.B, server *redistest.Server, work func()) {
	b.Helper()
	server.ResetStats(b)
	before := cpu(b, server)
	b.ReportAllocs()
	b.ResetTimer()
	work()
	b.StopTimer()
	used := cpu(b, server) - before
	acquisitions := float64(b.N)
	b.ReportMetric(acquisitions/b.Elapsed().Seconds(), "ops/s")
	b.ReportMetric(float64(commands(b, server))/acquisitions, "cmds/acq")
	b.ReportMetric(float64(used.Microseconds())/acquisitions, "redis-µs/acq")
}

// commands returns how many commands the server has executed since its statistics
// were reset, without those that read and reset them.
func commands(tb testing.TB, server *redistest.Server) int64 {
	tb.Helper()
	var sum int64
	for name, stat := range server.CommandStats(tb) {
		if name != "info" && name != "config|resetstat" {
			sum += stat.Calls
		}
	}
	return sum
}

// cpu returns how much processor time the server's process has used.
func cpu(tb testing.TB, server *redistest.Server) time.Duration {
	tb.Helper()
	text, ok := server.Do(tb, "INFO", "cpu").(string)
	if !ok {
		tb.Fatal("bench: the server's answer to INFO is not a string")
	}
	var sum float64
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "used_cpu_sys" && name != "used_cpu_user" {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			tb.Fatalf("bench: %s: %v", name, err)
		}
		sum += seconds
	}
	return time.Duration(sum * float64(time.Second))
}

// A crew is the goroutines of a workload.
type crew struct {
	b       *testing.B
	members []*member
}

// A member is one of them.
type member struct {
	mutex Mutex
	waits *hdrhistogram.Histogram // how long Lock took, in nanoseconds
}

// assemble opens the clients of a workload; they are closed when the benchmark is over.
func assemble(b *testing.B, addr string, w Workload, contender Contender) *crew {
	b.Helper()
	c := &crew{b: b}
	for range w.Clients {
		client, err := contender.Open(addr)
		if err != nil {
			b.Fatalf("bench: open %s: %v", contender.Name, err)
		}
		b.Cleanup(func() {
			if err := client.Close(); err != nil {
				b.Errorf("bench: close %s: %v", contender.Name, err)
			}
		})
		for range w.Goroutines {
			// The kinds of locks differ on the server, so the names do, too.
			name := fmt.Sprintf("bench:%s:%d", contender.Name, len(c.members)%w.Names)
			c.members = append(c.members, &member{
				mutex: client.Mutex(name),
				waits: hdrhistogram.New(1, int64(10*time.Minute), 3),
			})
		}
	}
	return c
}

// warm lets each member have its lock a few times, so that the connections are there,
// which the Redis client makes one by one when it first picks them, and the scripts
// are loaded.
func (c *crew) warm(ctx context.Context) {
	const times = 40
	for range times {
		for _, m := range c.members {
			if !c.turn(ctx, m, 0) {
				return
			}
		}
	}
	for _, m := range c.members {
		m.waits.Reset()
	}
}

// work makes the crew lock and unlock n times altogether.
func (c *crew) work(ctx context.Context, n int, hold time.Duration) {
	if len(c.members) == 1 {
		for range n {
			if !c.turn(ctx, c.members[0], hold) {
				return
			}
		}
		return
	}
	var (
		wg   sync.WaitGroup
		done atomic.Int64
	)
	for _, m := range c.members {
		wg.Go(func() {
			for done.Add(1) <= int64(n) {
				if !c.turn(ctx, m, hold) {
					return
				}
			}
		})
	}
	wg.Wait()
}

// turn locks and unlocks once and reports whether that went well.
func (c *crew) turn(ctx context.Context, m *member, hold time.Duration) bool {
	began := time.Now()
	held, err := m.mutex.Lock(ctx)
	waited := time.Since(began)
	if err != nil {
		c.b.Errorf("bench: lock: %v", err)
		return false
	}
	_ = m.waits.RecordValue(waited.Nanoseconds()) // fails above ten minutes
	if hold > 0 {
		time.Sleep(hold)
	}
	if err := held.Unlock(ctx); err != nil {
		c.b.Errorf("bench: unlock: %v", err)
		return false
	}
	return true
}

// report reports how long the members of the crew waited.
func (c *crew) report() {
	all := c.members[0].waits
	for _, m := range c.members[1:] {
		all.Merge(m.waits)
	}
	c.b.ReportMetric(float64(all.ValueAtPercentile(50)), "p50-wait-ns")
	c.b.ReportMetric(float64(all.ValueAtPercentile(99)), "p99-wait-ns")
	c.b.ReportMetric(float64(all.Max()), "max-wait-ns")
}
