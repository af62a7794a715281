package watchdog_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/watchdog"
)

func TestCloseEndsRenewalsAndWaitsForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(func(ctx context.Context, _ []string) error {
			<-ctx.Done()
			time.Sleep(2 * time.Second) // it takes a while to stop
			return ctx.Err()
		})
		a := k.Add("a")
		for range 20 {
			k.Add("more") // than there are slots
		}
		k.until(11 * time.Second)
		first, second := soon(k.Close), soon(k.Close)
		stopped := soon(a.Stop)
		k.until(13*time.Second - 1)
		assertOpen(t, first, "renewals take until 13 s")
		assertOpen(t, second, "a second call waits too")
		k.until(13 * time.Second)
		assertClosed(t, first, "renewals have returned")
		assertClosed(t, second, "renewals have returned")
		assertClosed(t, stopped, "renewals have returned")
		assert.Empty(t, running())
		calls := len(k.calls())
		k.until(100 * time.Second)
		assert.Len(t, k.calls(), calls)
		assert.Zero(t, k.Len())
	})
}

func TestCloseDoesNotWaitForARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		k.will(takes("a", 0, errRenew))
		k.Add("a")
		k.until(15 * time.Second)
		assertClosed(t, soon(k.Close), "it sleeps until the retry")
	})
}

func TestClosedWatchdogWatchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKennel(t, 1)
		before := k.Add("before")
		k.Close()
		after := k.Add("after")
		assert.Zero(t, k.Len())
		for _, watch := range []*watchdog.Watch[string]{before, after} {
			watch.Renew()
			watch.Pause()
			watch.Renew()
			watch.Resume()
		}
		k.RenewAll()
		k.until(100 * time.Second)
		for _, watch := range []*watchdog.Watch[string]{before, after} {
			watch.Stop()
			watch.Forget()
		}
		k.Close()
		assert.Empty(t, k.calls())
	})
}

// A suspect is a lease that knows whether it may be renewed.
type suspect struct {
	barred atomic.Bool  // Stop or Pause has returned
	inside atomic.Int32 // renewals under way
}

func TestNothingIsRenewedTwiceAtOnceNorWhilePausedUnderLoad(t *testing.T) {
	var wrong atomic.Pointer[string]
	report := func(what string) { wrong.CompareAndSwap(nil, &what) }
	var renewals atomic.Int64
	dog := watchdog.New(time.Millisecond, 3, func(_ context.Context, leases []*suspect) error {
		renewals.Add(1)
		for _, s := range leases {
			if s.inside.Add(1) > 1 {
				report("renewed twice at once")
			}
			if s.barred.Load() {
				report("renewed after Stop or Pause")
			}
		}
		if rand.N(2) == 0 {
			time.Sleep(rand.N(200 * time.Microsecond)) // a server at work
		}
		for _, s := range leases {
			if s.barred.Load() {
				report("Stop or Pause did not wait")
			}
			s.inside.Add(-1)
		}
		if rand.N(3) == 0 {
			return errors.New("failed")
		}
		return nil
	})
	somewhat := func() {
		for range rand.N(50) {
			runtime.Gosched()
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for renewals.Load() < 3000 {
				s := new(suspect)
				watch := dog.Add(s)
				for range rand.N(8) {
					watch.Renew()
					somewhat()
					if rand.N(4) == 0 {
						dog.RenewAll()
					}
					watch.Pause()
					s.barred.Store(true)
					watch.Renew()
					somewhat()
					s.barred.Store(false)
					watch.Resume()
					somewhat()
				}
				watch.Stop()
				s.barred.Store(true)
			}
		})
	}
	wg.Wait()
	assert.Zero(t, dog.Len())
	dog.Close()
	if what := wrong.Load(); what != nil {
		assert.Fail(t, *what)
	}
}

func TestCloseUnderLoadLeavesNothing(t *testing.T) {
	for range 50 {
		dog := watchdog.New(time.Millisecond, 2, func(ctx context.Context, _ []int) error {
			return ctx.Err()
		})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for range 20 {
					watch := dog.Add(i)
					watch.Renew()
					dog.RenewAll()
					watch.Pause()
					watch.Resume()
					watch.Stop()
				}
			})
		}
		wg.Go(dog.Close)
		wg.Wait()
		dog.Close()
		require.Zero(t, dog.Len())
	}
}
