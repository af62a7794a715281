//go:build interop

package interop_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// TestMixtureIsFairAndFast lets sixteen want one lock for a while, four each in two
// clients in Go and two in Java, and compares them with as many in four in Java.
func TestMixtureIsFairAndFast(t *testing.T) {
	const (
		crowd  = 4 // in each client
		period = time.Second
		rounds = 4
	)
	second := start(t)
	var java []*javaClient
	for _, jvm := range []*jvm{shared, second, shared, second} {
		java = append(java, jvm.connect(t, server.Addr(), defaultWatchdog))
	}
	inJava := func(clients []*javaClient, name string) (total int) {
		var answers []<-chan answer
		for _, client := range clients {
			answers = append(answers, client.owner("1").tell("contend", name, strconv.Itoa(crowd), millis(period)))
		}
		for _, answered := range answers {
			total += amount(t, answered)
		}
		return total
	}
	for range 3 {
		inJava(java, fresh(t)) // the JVMs are warm then
	}
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			clients := []*rlock.Client{newGoOwner(t, options...).client, newGoOwner(t, options...).client}
			var here, there, alone int
			for range rounds {
				name := fresh(t)
				inGo := contend(clients, name, crowd, period)
				there += inJava(java[:len(clients)], name)
				for range clients {
					for range crowd {
						a := <-inGo
						require.NoError(t, a.err)
						here += a.times
					}
				}
				alone += inJava(java, fresh(t))
			}
			perSecond := func(n int) float64 { return float64(n) / rounds / period.Seconds() }
			t.Logf("acquisitions per second: %.0f in Go and %.0f in Java; Redisson's own %.0f",
				perSecond(here), perSecond(there), perSecond(alone))
			fair := (here + there) / 2
			assert.GreaterOrEqual(t, here, fair/4, "Go starves")
			assert.GreaterOrEqual(t, there, fair/4, "Java starves")
			if mode == handoverOn { // else nobody says that it is faster
				assert.GreaterOrEqual(t, here+there, alone)
			}
		})
	}
}

// acquisitions are how often a goroutine has had the lock, and what ended that.
type acquisitions struct {
	times int
	err   error
}

// contend lets a crowd of goroutines in each client lock and unlock for a while. Each
// sends how often it did.
func contend(clients []*rlock.Client, name string, crowd int, period time.Duration) <-chan acquisitions {
	end := time.Now().Add(period)
	results := make(chan acquisitions)
	for i := range crowd * len(clients) {
		lock := clients[i%len(clients)].NewLock(name)
		go func() {
			var a acquisitions
			for a.err == nil && time.Now().Before(end) {
				a.err = lock.Do(context.Background(), func(context.Context) error {
					a.times++
					return nil
				})
			}
			results <- a
		}()
	}
	return results
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
