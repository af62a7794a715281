package watchdog_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-rlock/rlock/watchdog"
)

// period is that of every watchdog in these tests: 10 of the bubble's seconds.
const period = 10 * time.Second

var errRenew = errors.New("no answer")

// A renewal is one call of a watchdog's renew function.
type renewal struct {
	at     time.Duration // since the beginning of the test
	leases []string
}

// A kennel is a watchdog and what it did.
type kennel struct {
	*watchdog.Watchdog[string]

	began time.Time

	mu       sync.Mutex
	do       func(ctx context.Context, leases []string) error // nil: succeed at once
	renewals []renewal
	inside   int // renewals under way
	most     int // of them at the same time
}

// newKennel returns a kennel in the bubble of t, closed when the test is over.
func newKennel(t *testing.T, batch int) *kennel {
	t.Helper()
	k := &kennel{began: time.Now()}
	k.Watchdog = watchdog.New(period, batch, k.renew)
	t.Cleanup(k.Close)
	return k
}

func (k *kennel) renew(ctx context.Context, leases []string) error {
	k.mu.Lock()
	k.renewals = append(k.renewals, renewal{time.Since(k.began), slices.Sorted(slices.Values(leases))})
	k.inside++
	k.most = max(k.most, k.inside)
	do := k.do
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.inside--
	}()
	if do == nil {
		return nil
	}
	return do(ctx, leases)
}

// will sets what renewals do from now on, after they were noted.
func (k *kennel) will(do func(ctx context.Context, leases []string) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.do = do
}

// until lets the bubble's time pass until d after the beginning, and everything happen
// that happens then.
func (k *kennel) until(d time.Duration) {
	time.Sleep(d - time.Since(k.began))
	synctest.Wait()
}

// times returns when the lease was renewed, in seconds.
func (k *kennel) times(lease string) []float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	times := []float64{}
	for _, r := range k.renewals {
		if slices.Contains(r.leases, lease) {
			times = append(times, r.at.Seconds())
		}
	}
	return times
}

// calls returns all renewals.
func (k *kennel) calls() []renewal {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.renewals)
}

// takes returns a renew function that takes d, or until its context ends, for one
// lease, and returns err.
func takes(lease string, d time.Duration, err error) func(context.Context, []string) error {
	return func(ctx context.Context, leases []string) error {
		if !slices.Contains(leases, lease) {
			return nil
		}
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// soon runs f in a goroutine and returns a channel that is closed when f returned.
func soon(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	synctest.Wait()
	return done
}

func assertOpen(t *testing.T, c <-chan struct{}, why string) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c:
		assert.Fail(t, "returned too early", why)
	default:
	}
}

func assertClosed(t *testing.T, c <-chan struct{}, why string) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c:
	default:
		assert.Fail(t, "has not returned", why)
	}
}
