package bench_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/bench"
	"github.com/go-rlock/rlock/internal/redistest"
)

var server *redistest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m, &server)) }

func BenchmarkSerial(b *testing.B) { bench.Run(b, server, bench.Serial, bench.Contenders()...) }

func BenchmarkNames64(b *testing.B) { bench.Run(b, server, bench.Names64, bench.Contenders()...) }

func BenchmarkGoroutines32(b *testing.B) {
	bench.Run(b, server, bench.Goroutines32, bench.Contenders()...)
}

func BenchmarkClients8(b *testing.B) { bench.Run(b, server, bench.Clients8, bench.Contenders()...) }

// BenchmarkAgainstFloor tells how far the lock is from the least that it can cost.
func BenchmarkAgainstFloor(b *testing.B) {
	contenders := bench.Contenders()
	one, floor := contenders[0], contenders[1]
	for _, w := range []struct {
		name string
		bench.Workload
	}{
		{"Serial", bench.Serial},
		{"Names64", bench.Names64},
	} {
		b.Run(w.name, func(b *testing.B) { bench.Compare(b, server, w.Workload, one, floor) })
	}
}
