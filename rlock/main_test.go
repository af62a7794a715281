package rlock_test

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// server runs while the tests of this package do. Tests that stop, kill or configure
// a server start one of their own.
var server *redistest.Server

// handover is the setting of the clients that the tests make. All tests run with it on,
// and then with it off.
var handover bool

// settings returns the options of a test's client.
func settings(options ...rlock.Option) []rlock.Option {
	return append([]rlock.Option{rlock.WithHandover(handover)}, options...)
}

// bothWays runs all tests with handing over on and off.
type bothWays struct{ *testing.M }

func (b bothWays) Run() int {
	for _, handover = range []bool{true, false} {
		if code := b.M.Run(); code != 0 {
			fmt.Fprintln(os.Stderr, "with handing over:", handover)
			return code
		}
	}
	return 0
}

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // most tests wait for time to pass
	goleak.VerifyTestMain(redistest.Main(bothWays{m}, &server))
}
