package watchdog_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-rlock/rlock/watchdog"
)

func TestStopAndPauseWaitForTheRenewalUnderWay(t *testing.T) {
	for name, end := range map[string]func(*watchdog.Watch[string]){
		"Stop":  (*watchdog.Watch[string]).Stop,
		"Pause": (*watchdog.Watch[string]).Pause,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKennel(t, 100)
				k.will(takes("a", 3*time.Second, errRenew))
				a := k.Add("a")
				b := k.Add("b")
				k.until(12 * time.Second)
				ended := soon(func() { end(a) })
				again := soon(func() { end(a) })
				k.until(13*time.Second - 1)
				assertOpen(t, ended, "the renewal takes until 13 s")
				assertOpen(t, again, "a second call waits too")
				k.until(13 * time.Second)
				assertClosed(t, ended, "the renewal is over")
				assertClosed(t, again, "the renewal is over")
				k.will(nil)
				k.until(45 * time.Second)
				assert.Equal(t, []float64{10}, k.times("a"))
				assert.Subset(t, k.times("b"), []float64{10, 20, 30, 40}, "others go on")
				b.Stop()
			})
		})
	}
}

func TestStopAndPauseDoNotWaitForARenewalThatHasNotStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(func(_ context.Context, leases []string) error {
			if leases[0] != "a" && leases[0] != "b" && leases[0] != "c" {
				time.Sleep(5 * time.Second)
			}
			return nil
		})
		for i := range 16 {
			k.Add(fmt.Sprint(i)).Renew()
		}
		synctest.Wait() // all slots are taken until 5 s
		a, b, c := k.Add("a"), k.Add("b"), k.Add("c")
		a.Renew()
		b.Renew()
		c.Renew()
		assertClosed(t, soon(a.Stop), "nothing is under way")
		assertClosed(t, soon(b.Pause), "nothing is under way")
		assertClosed(t, soon(c.Pause), "nothing is under way")
		c.Resume()
		k.until(7 * time.Second)
		assert.Empty(t, k.times("a"))
		assert.Empty(t, k.times("b"))
		assert.Equal(t, []float64{5}, k.times("c"), "Resume came before its turn")
		b.Resume()
		k.until(8 * time.Second)
		assert.Empty(t, k.times("a"))
		assert.Equal(t, []float64{7}, k.times("b"), "what the pause kept from starting")
	})
}

func TestRoundThatAPauseMissedIsMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		a := k.Add("a")
		k.until(8 * time.Second)
		a.Pause()
		a.Resume()
		synctest.Wait()
		assert.Empty(t, k.calls(), "nothing was missed")
		k.until(9 * time.Second)
		a.Pause()
		k.until(24 * time.Second)
		assert.Empty(t, k.calls())
		a.Resume()
		k.until(35 * time.Second)
		assert.Equal(t, []float64{24, 30}, k.times("a"))
	})
}

func TestRenewStartsARenewalAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		a := k.Add("a")
		k.Add("b")
		k.until(4 * time.Second)
		a.Renew()
		k.until(25 * time.Second)
		assert.Equal(t, []float64{4, 10, 20}, k.times("a"), "the rhythm stays")
		assert.Equal(t, []float64{10, 20}, k.times("b"), "and only this one is renewed")
	})
}

func TestRenewWhileARenewalIsUnderWayIsFollowedByOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		k.will(takes("a", 3*time.Second, nil))
		a := k.Add("a")
		k.Add("b")
		k.until(11 * time.Second)
		for range 5 {
			a.Renew()
		}
		k.until(19 * time.Second)
		assert.Equal(t, []float64{10, 13}, k.times("a"))
		assert.Equal(t, []float64{10}, k.times("b"))
	})
}

func TestRenewWhilePausedIsPutOffUntilResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		a := k.Add("a")
		a.Pause()
		a.Renew()
		a.Renew()
		k.until(3 * time.Second)
		assert.Empty(t, k.calls())
		a.Resume()
		a.Resume()
		k.until(9 * time.Second)
		assert.Equal(t, []float64{3}, k.times("a"))
	})
}

func TestRenewAllRenewsWhatIsIdleAtOnceAndTheRestWhenItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(takes("busy", 6*time.Second, nil))
		k.Add("idle")
		k.Add("busy").Renew()
		paused := k.Add("paused")
		paused.Pause()
		k.until(2 * time.Second)
		k.RenewAll()
		k.RenewAll()
		k.until(4 * time.Second)
		paused.Resume()
		k.until(19 * time.Second)
		idle := slices.Compact(k.times("idle")) // the first time may be over before the second begins
		assert.Equal(t, []float64{2, 10}, idle)
		assert.Equal(t, []float64{0, 6, 12}, k.times("busy"), "6 s each; a round began meanwhile")
		assert.Equal(t, []float64{4, 10}, k.times("paused"), "what has not been sent yet does for both")
	})
}

func TestRenewAllBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		for i := range 250 {
			k.Add(fmt.Sprint(i))
		}
		k.RenewAll()
		synctest.Wait()
		assert.Len(t, k.calls(), 3)
	})
}

func TestForgetFromTheRenewFunctionEndsTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 100)
		a := k.Add("a")
		k.will(func(context.Context, []string) error {
			a.Forget()
			a.Renew()
			return errRenew // what remains of the batch is tried again
		})
		k.until(25 * time.Second)
		assert.Equal(t, []float64{10}, k.times("a"))
		assert.Zero(t, k.Len())
	})
}
