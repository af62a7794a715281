package watchdog_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLeaseIsRenewedOncePerPeriodToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.Add("a")
		k.until(10*time.Second - 1)
		assert.Empty(t, k.calls())
		k.until(45 * time.Second)
		assert.Equal(t, []float64{10, 20, 30, 40}, k.times("a"))
		k.until(100*time.Hour + time.Second)
		assert.Len(t, k.calls(), 36000)
	})
}

func TestLaterLeaseJoinsTheNextRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.Add("a")
		k.until(7 * time.Second)
		k.Add("b")
		k.until(25 * time.Second)
		assert.Equal(t, []renewal{{10 * time.Second, []string{"a", "b"}}, {20 * time.Second, []string{"a", "b"}}}, k.calls())
	})
}

func TestRhythmBeginsAnewWithTheFirstLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.Add("a").Stop()
		k.until(13 * time.Second)
		b := k.Add("b")
		k.until(24 * time.Second)
		b.Stop()
		k.until(35 * time.Second)
		k.Add("c")
		k.until(46 * time.Second)
		assert.Equal(t, []renewal{{23 * time.Second, []string{"b"}}, {45 * time.Second, []string{"c"}}}, k.calls())
	})
}

func TestRoundRenewsEveryLeaseOnceInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		want := []string{}
		for i := range 250 {
			want = append(want, fmt.Sprintf("%03d", i))
			k.Add(want[i])
		}
		assert.Equal(t, 250, k.Len())
		k.until(11 * time.Second)
		var sizes []int
		var leases []string
		for _, r := range k.calls() {
			assert.Equal(t, 10*time.Second, r.at)
			sizes = append(sizes, len(r.leases))
			leases = append(leases, r.leases...)
		}
		slices.Sort(sizes)
		slices.Sort(leases)
		assert.Equal(t, []int{50, 100, 100}, sizes)
		assert.Equal(t, want, leases)
	})
}

func TestAtMost16BatchesAreInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(func(context.Context, []string) error {
			time.Sleep(time.Second)
			return nil
		})
		for i := range 40 {
			k.Add(fmt.Sprint(i))
		}
		k.until(19 * time.Second)
		started := map[time.Duration]int{}
		for _, r := range k.calls() {
			started[r.at]++
		}
		assert.Equal(t, map[time.Duration]int{10 * time.Second: 16, 11 * time.Second: 16, 12 * time.Second: 8}, started)
		assert.Equal(t, 16, k.most)
	})
}

func TestBatchThatHangsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(takes("stuck", 25*time.Second, nil))
		for _, lease := range []string{"a", "stuck", "b"} {
			k.Add(lease)
		}
		k.until(59 * time.Second)
		for _, lease := range []string{"a", "b"} {
			assert.Equal(t, []float64{10, 20, 30, 40, 50}, k.times(lease))
		}
		// What hung past the beginning of a round is renewed when it no longer hangs.
		assert.Equal(t, []float64{10, 35}, k.times("stuck"))
	})
}

func TestBatchThatFailsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(takes("stuck", 0, errRenew))
		for _, lease := range []string{"a", "stuck", "b"} {
			k.Add(lease)
		}
		k.until(35 * time.Second)
		for _, lease := range []string{"a", "b"} {
			assert.Equal(t, []float64{10, 20, 30}, k.times(lease))
		}
	})
}

func TestRoundDoesNotRenewWhatIsStillQueuedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(func(_ context.Context, leases []string) error {
			if strings.HasPrefix(leases[0], "slow") {
				time.Sleep(12 * time.Second)
			}
			return nil
		})
		for i := range 16 {
			k.Add(fmt.Sprint("slow", i)).Renew()
		}
		synctest.Wait() // they fill all slots until 12 s
		k.Add("late")
		k.until(15 * time.Second)
		assert.Equal(t, []float64{12}, k.times("late"))
	})
}

func TestNothingIsRenewedAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		a, b := k.Add("a"), k.Add("b")
		k.until(15 * time.Second)
		a.Stop()
		a.Stop()
		a.Renew()
		assert.Equal(t, 1, k.Len())
		k.until(25 * time.Second)
		b.Stop()
		b.Resume()
		k.RenewAll()
		assert.Zero(t, k.Len())
		k.until(1000 * time.Hour)
		assert.Equal(t, []renewal{{10 * time.Second, []string{"a", "b"}}, {20 * time.Second, []string{"b"}}}, k.calls())
	})
}

// running returns the stacks of goroutines that are in a watchdog.
func running() []string {
	buffer := make([]byte, 1<<20)
	var stacks []string
	for stack := range strings.SplitSeq(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if strings.Contains(stack, "/watchdog.(*Watchdog") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func TestNoGoroutineRunsBetweenRoundsNorWhileNothingIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		a, b := k.Add("a"), k.Add("b")
		k.until(15 * time.Second)
		assert.Empty(t, running(), "between two rounds")

		k.will(takes("a", 0, errRenew))
		k.until(20*time.Second + time.Millisecond)
		require.Len(t, running(), 1, "what failed waits to be tried again")
		b.Stop()
		a.Stop()
		synctest.Wait()
		assert.Empty(t, running(), "nothing is watched")

		k.will(takes("a", time.Second, errRenew))
		a = k.Add("a")
		a.Renew()
		synctest.Wait()
		a.Stop() // waits for the renewal, which fails
		synctest.Wait()
		assert.Empty(t, running(), "nothing is watched any more")
	})
}
