//go:build interop

package interop_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/worker"
)

// TestCounterIsExactAcrossSides lets two goroutines in each of two processes and two
// threads in each of two JVMs add to one counter, with a GET and a SET.
func TestCounterIsExactAcrossSides(t *testing.T) {
	const (
		goRounds   = 1550 // every sixth is a TryLock that may be in vain
		javaRounds = 1300
		least      = 5000
	)
	t.Parallel()
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			name := fresh(t)
			began := time.Now()
			counted := make(chan answer, 2)
			for _, jvm := range []*jvm{shared, start(t)} {
				client := jvm.connect(t, server.Addr(), defaultWatchdog)
				go func() {
					counted <- <-client.owner("1").tell("count", name, worker.CounterKey(name), "2", strconv.Itoa(javaRounds))
				}()
			}
			job := worker.Job{Duty: worker.Count, Server: server.Addr(), Name: name, Goroutines: 2, Rounds: goRounds, Public: mode == handoverOff}
			crew := []*worker.Process{worker.Start(t, job), worker.Start(t, job)}

			inJava := 0
			for range 2 {
				a := <-counted
				require.NoError(t, a.err)
				n, err := strconv.Atoi(a.value)
				require.NoError(t, err)
				inJava += n
			}
			inGo, skipped := 0, 0
			for _, p := range crew {
				p.Finish(t)
				tally := p.Tally(t)
				p.Succeed(t)
				inGo += tally.Acquired
				skipped += tally.Skipped
			}
			t.Logf("%d in Java, %d in Go, %d TryLock in vain, %v", inJava, inGo, skipped, time.Since(began))
			assert.GreaterOrEqual(t, inJava, least)
			assert.GreaterOrEqual(t, inGo, least)
			assert.Equal(t, strconv.Itoa(inJava+inGo), server.Do(t, "GET", worker.CounterKey(name)))
			isFree(t, name)
		})
	}
}
