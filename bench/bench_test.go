package bench_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/bench"
	"github.com/go-rlock/rlock/internal/redistest"
)

var server *redistest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m, &server)) }

func BenchmarkSerial(b *testing.B) { run(b, bench.Serial) }

func BenchmarkNames64(b *testing.B) { run(b, bench.Names64) }

func BenchmarkGoroutines32(b *testing.B) { run(b, bench.Goroutines32) }

func BenchmarkClients8(b *testing.B) { run(b, bench.Clients8) }

func BenchmarkClients32(b *testing.B) { run(b, bench.Clients32) }

func BenchmarkClients8x8(b *testing.B) { run(b, bench.Clients8x8) }

func BenchmarkClients128(b *testing.B) { run(b, bench.Clients128) }

func BenchmarkHotNames(b *testing.B) { run(b, bench.HotNames) }

func run(b *testing.B, w bench.Workload) {
	b.Helper()
	bench.Run(b, server, w, bench.Contenders()...)
}

// BenchmarkAgainstFloor tells how far the lock is from the least that it can cost.
func BenchmarkAgainstFloor(b *testing.B) {
	one, floor, ring := contender(b, "rlock"), contender(b, "floor"), contender(b, "ring")
	for _, w := range []struct {
		name string
		bench.Workload
		floor bench.Contender
	}{
		{"Serial", bench.Serial, floor},
		{"Names64", bench.Names64, floor},
		{"Clients32", bench.Clients32, ring},
	} {
		b.Run(w.name, func(b *testing.B) { bench.Compare(b, server, w.Workload, one, w.floor) })
	}
}

// BenchmarkTurns tells what turns in a row of one process are worth, and what they cost the
// others: the default of rlock.WithTurns comes from it.
func BenchmarkTurns(b *testing.B) {
	for _, local := range []int{1, 2, 4, 8, 16, 32} {
		bench.Run(b, server, bench.Clients8x8, bench.Turns(local))
	}
}

func contender(tb testing.TB, name string) bench.Contender {
	tb.Helper()
	for _, c := range bench.Contenders() {
		if c.Name == name {
			return c
		}
	}
	tb.Fatalf("there is no contender %s", name)
	return bench.Contender{}
}
