package watchdog_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFailedBatchIsTriedAgainWithGrowingPausesUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		failures := 7
		k.will(func(context.Context, []string) error {
			failures--
			if failures < 0 {
				return nil
			}
			return errRenew
		})
		k.Add("a")
		k.until(30*time.Second - 1)
		times := k.times("a")
		require.Len(t, times, 7+1+1, "7 failures, the success, and the next round")
		assert.InDelta(t, 10, times[0], 0)
		pause := 0.050 // a 200th of the period
		for i := range 7 {
			waited := times[i+1] - times[i]
			assert.GreaterOrEqual(t, waited, pause/2, i)
			assert.LessOrEqual(t, waited, pause*3/2, i)
			pause = min(2*pause, 2.5)
		}
		assert.InDelta(t, 20, times[8], 0)
	})
}

func TestRetriesGoOnAllThroughTheRoundAndEndWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.will(takes("a", 0, errRenew))
		k.Add("a")
		k.until(40*time.Second - 1)
		times := k.times("a")
		for _, round := range []float64{10, 20, 30} {
			i := slices.Index(times, round)
			require.GreaterOrEqual(t, i, 0, "a round begins with an attempt")
			in := times[i:]
			if next := slices.Index(times, round+10); next > 0 {
				in = times[i:next]
			}
			pause := 0.050 // and pauses begin anew
			for j := 1; j < len(in); j++ {
				assert.GreaterOrEqual(t, in[j]-in[j-1], pause/2, "one attempt after another")
				assert.LessOrEqual(t, in[j]-in[j-1], pause*3/2)
				pause = min(2*pause, 2.5)
			}
			assert.Greater(t, in[len(in)-1], round+10-2.5*1.5, "retries go on until the next round")
		}
		assert.Equal(t, 1, k.most)
	})
}

func TestRetryLeavesOutWhatWasStoppedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.will(func(context.Context, []string) error {
			if len(k.calls()) == 1 {
				return errRenew
			}
			return nil
		})
		k.Add("a")
		b, c := k.Add("b"), k.Add("c")
		k.until(10*time.Second + time.Millisecond)
		b.Stop()
		c.Pause()
		k.until(15 * time.Second)
		calls := k.calls()
		require.Len(t, calls, 2)
		assert.Equal(t, []string{"a", "b", "c"}, calls[0].leases)
		assert.Equal(t, []string{"a"}, calls[1].leases)
		c.Resume()
		k.until(16 * time.Second)
		assert.Equal(t, []float64{10, 15}, k.times("c"), "the retry that the pause kept from it")
	})
}

// A renewal that is still under way when the next round begins, and then fails, would
// else be tried again only in the round after that: with a lease of three periods, too
// late.
func TestRenewalThatFailsInTheNextRoundIsTriedAgainInThatRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.will(func(context.Context, []string) error {
			if len(k.calls()) == 1 {
				time.Sleep(10500 * time.Millisecond)
				return errRenew
			}
			return nil
		})
		k.Add("a")
		k.until(29 * time.Second)
		assert.Equal(t, []float64{10, 20.5}, k.times("a"))
	})
}

func TestRetryDoesNotRepeatWhatSomebodyElseRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.will(func(context.Context, []string) error {
			if len(k.calls()) == 1 {
				return errRenew
			}
			time.Sleep(time.Second) // longer than the pause
			return nil
		})
		a := k.Add("a")
		k.Add("b")
		k.until(10*time.Second + time.Millisecond)
		a.Renew()
		k.until(15 * time.Second)
		assert.Equal(t, []float64{10, 10.001}, k.times("a"))
		assert.Len(t, k.times("b"), 2)
	})
}
