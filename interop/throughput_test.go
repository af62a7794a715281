//go:build interop

package interop_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// TestMixtureIsFairAndFast lets eight goroutines and eight threads of Java want one
// lock for a while, and compares them with sixteen threads in two JVMs.
func TestMixtureIsFairAndFast(t *testing.T) {
	const (
		crowd  = 8
		period = time.Second
		rounds = 4
	)
	first := shared.connect(t, server.Addr(), defaultWatchdog)
	second := start(t).connect(t, server.Addr(), defaultWatchdog)
	inJava := func(c *javaClient, name string) <-chan answer {
		return c.owner("1").tell("contend", name, strconv.Itoa(crowd), millis(period))
	}
	redisson := func() (total int) {
		name := fresh(t)
		one, other := inJava(first, name), inJava(second, name)
		return amount(t, one) + amount(t, other)
	}
	redisson() // the JVMs are warm then
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			client := newGoOwner(t, options...).client
			var here, there, alone int
			for range rounds {
				name := fresh(t)
				answered := inJava(first, name)
				here += contend(t, client, name, crowd, period)
				there += amount(t, answered)
				alone += redisson()
			}
			perSecond := func(n int) float64 { return float64(n) / rounds / period.Seconds() }
			t.Logf("acquisitions per second: %.0f in Go and %.0f in Java; Redisson's own %.0f",
				perSecond(here), perSecond(there), perSecond(alone))
			fair := (here + there) / 2
			assert.GreaterOrEqual(t, here, fair/4, "Go starves")
			assert.GreaterOrEqual(t, there, fair/4, "Java starves")
			assert.GreaterOrEqual(t, here+there, alone)
		})
	}
}

// contend lets goroutines lock and unlock for a while, and returns how often they did.
func contend(t *testing.T, client *rlock.Client, name string, crowd int, period time.Duration) int {
	t.Helper()
	end := time.Now().Add(period)
	var acquired atomic.Int64
	failed := make(chan error, crowd)
	for range crowd {
		go func() {
			failed <- func() error {
				lock := client.NewLock(name)
				for time.Now().Before(end) {
					hold, err := lock.Lock(context.Background())
					if err != nil {
						return err
					}
					acquired.Add(1)
					if err := hold.Unlock(context.Background()); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range crowd {
		require.NoError(t, <-failed)
	}
	return int(acquired.Load())
}

// amount returns the number that a JVM answers.
func amount(t *testing.T, answered <-chan answer) int {
	t.Helper()
	a := <-answered
	require.NoError(t, a.err)
	n, err := strconv.Atoi(a.value)
	require.NoError(t, err)
	return n
}
