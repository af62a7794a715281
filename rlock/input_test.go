package rlock_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// clusterClient is a client for a cluster, as far as anybody looks.
type clusterClient struct{ rueidis.Client }

func (clusterClient) Mode() rueidis.ClientMode { return rueidis.ClientModeCluster }

func TestNewRefusesClientsThatCannotWork(t *testing.T) {
	_, err := rlock.New(nil)
	require.EqualError(t, err, "rlock: new client: the rueidis client is nil; pass one made by rueidis.NewClient")
	_, err = rlock.New(clusterClient{})
	require.EqualError(t, err, "rlock: new client: Redis Cluster is not supported yet; pass a client for a single server or for Sentinel")
}

// badDurations are those that neither a lease nor an option may have, as errors name
// them.
var badDurations = map[string]time.Duration{
	"0s":              0,
	"-1s":             -time.Second,
	"999.999µs":       time.Millisecond - time.Nanosecond,
	"1ns":             1,
	"876000h0m0.001s": 100*365*24*time.Hour + time.Millisecond,
	"-2562047h":       math.MinInt64,
	"2562047h":        math.MaxInt64,
}

const allowed = "it must be from 1ms to 876000h0m0s"

func TestNewRefusesBadOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		rdb := w.connect()
		w.forget()
		for text, d := range badDurations {
			client, err := rlock.New(rdb, rlock.WithWatchdogTimeout(d))
			assert.ErrorContains(t, err, "rlock: new client: watchdog timeout is "+text)
			assert.ErrorContains(t, err, allowed)
			assert.Nil(t, client)
			client, err = rlock.New(rdb, rlock.WithGracePeriod(d))
			assert.ErrorContains(t, err, "rlock: new client: grace period is "+text)
			assert.ErrorContains(t, err, allowed)
			assert.Nil(t, client)
		}
		client, err := rlock.New(rdb, rlock.WithLogger(nil), nil)
		require.EqualError(t, err, "rlock: new client: an option is nil")
		assert.Nil(t, client)
		assert.Empty(t, w.commands())
	})
}

// acquisitions are the calls that take lock options.
var acquisitions = map[string]func(context.Context, *rlock.Lock, ...rlock.LockOption) error{
	"Lock": func(ctx context.Context, l *rlock.Lock, o ...rlock.LockOption) error {
		_, err := l.Lock(ctx, o...)
		return err
	},
	"TryLock": func(ctx context.Context, l *rlock.Lock, o ...rlock.LockOption) error {
		_, err := l.TryLock(ctx, time.Second, o...)
		return err
	},
	"TryLockNoWait": func(ctx context.Context, l *rlock.Lock, o ...rlock.LockOption) error {
		_, err := l.TryLock(ctx, 0, o...)
		return err
	},
	"Do": func(ctx context.Context, l *rlock.Lock, o ...rlock.LockOption) error {
		return l.Do(ctx, func(context.Context) error { panic("was run") }, o...)
	},
	"TryDo": func(ctx context.Context, l *rlock.Lock, o ...rlock.LockOption) error {
		return l.TryDo(ctx, time.Second, func(context.Context) error { panic("was run") }, o...)
	},
}

func TestAcquisitionsRefuseBadOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		w.forget()
		for call, acquire := range acquisitions {
			for text, d := range badDurations {
				err := acquire(t.Context(), lock, rlock.WithLease(d))
				assert.ErrorContains(t, err, `lock "orders": lease is `+text, call)
				assert.ErrorContains(t, err, allowed)
				err = acquire(t.Context(), lock, rlock.WithMaxHold(d))
				assert.ErrorContains(t, err, `lock "orders": max hold is `+text, call)
				assert.ErrorContains(t, err, allowed)
				err = acquire(t.Context(), lock, rlock.WithMinHold(d))
				assert.ErrorContains(t, err, `lock "orders": min hold is `+text, call)
				assert.ErrorContains(t, err, allowed)
			}
			both := []rlock.LockOption{rlock.WithLease(time.Second), rlock.WithMaxHold(time.Minute)}
			for range 2 {
				err := acquire(t.Context(), lock, both...)
				assert.ErrorContains(t, err, "lease is 1s and max hold is 1m0s; a hold has one or the other", call)
				both[0], both[1] = both[1], both[0]
			}
			for other, end := range map[string]rlock.LockOption{
				"lease": rlock.WithLease(time.Second), "max hold": rlock.WithMaxHold(time.Second),
			} {
				err := acquire(t.Context(), lock, rlock.WithMinHold(time.Second+1), end)
				assert.ErrorContains(t, err, "min hold is 1.000000001s and "+other+" is 1s; the "+other+" must be as long", call)
			}
			assert.ErrorContains(t, acquire(t.Context(), lock, nil), "a lock option is nil", call)
		}
		assert.Empty(t, w.commands())
	})
}

func TestSmallestAndLargestDurationsWork(t *testing.T) {
	const smallest, largest = time.Millisecond, 100 * 365 * 24 * time.Hour
	for _, d := range []time.Duration{smallest, largest} {
		t.Run("Lease"+d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				must(t)(lock.Lock(t.Context(), rlock.WithLease(d)))
				assert.Equal(t, d, w.ttl("orders"))
			})
		})
		t.Run("MaxHold"+d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				must(t)(lock.Lock(t.Context(), rlock.WithMaxHold(d)))
				assert.Equal(t, min(d, 30*time.Second), w.ttl("orders"))
			})
		})
		t.Run("MinHold"+d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				hold := must(t)(lock.Lock(t.Context(), rlock.WithMinHold(d)))
				assert.Equal(t, max(d, 30*time.Second), w.ttl("orders"))
				require.NoError(t, hold.Unlock(t.Context()))
				assert.Equal(t, d, w.ttl("orders"))
			})
		})
		t.Run("WatchdogTimeout"+d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders", rlock.WithWatchdogTimeout(d))
				must(t)(lock.Lock(t.Context()))
				assert.Equal(t, d, w.ttl("orders"))
			})
		})
		t.Run("Wait"+d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lockTaken(t, w)
				lock := w.lock(t, "orders", rlock.WithGracePeriod(d))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := lock.TryLock(ctx, d)
				assert.Equal(t, d == smallest, err != nil && ctx.Err() == nil)
			})
		})
	}
}

func TestFractionsOfAMillisecondAreRoundedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		must(t)(w.lock(t, "orders").Lock(t.Context(), rlock.WithLease(1234567*time.Microsecond+time.Nanosecond)))
		assert.Equal(t, 1235*time.Millisecond, w.ttl("orders").Round(time.Microsecond))
	})
}

func TestTryLockRefusesANegativeWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		w.forget()
		for _, wait := range []time.Duration{-1, -time.Second, math.MinInt64} {
			hold, err := lock.TryLock(t.Context(), wait)
			assert.Nil(t, hold)
			const allowed = "; it must be 0, for no wait, or more"
			assert.ErrorContains(t, err, `rlock: try lock "orders": wait is `+wait.String()+allowed)
			err = lock.TryDo(t.Context(), wait, func(context.Context) error { panic("was run") })
			assert.ErrorContains(t, err, `rlock: try lock "orders": wait is `+wait.String()+allowed)
		}
		assert.Empty(t, w.commands())
	})
}

func TestLongestWaitIsForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		holder := lockTaken(t, w)
		lock := w.lock(t, "orders")
		got := later(func() attempt { return attempted(lock.TryLock(t.Context(), math.MaxInt64)) })
		time.Sleep(time.Minute)
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
	})
}

func TestEveryOperationRefusesNamesThatCannotWork(t *testing.T) {
	const most = 64 << 10
	names := map[string]string{
		"":                            "name is empty; it must have 1 to 65536 bytes",
		strings.Repeat("x", most+1):   "name has 65537 bytes; it must have 1 to 65536",
		strings.Repeat("é", most/2+1): "name has 65538 bytes; it must have 1 to 65536",
		strings.Repeat("\n", 1<<20):   "name has 1048576 bytes; it must have 1 to 65536",
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		w.forget()
		for name, want := range names {
			lock := client.NewLock(name)
			assert.Equal(t, name, lock.Name())
			for call, operation := range operations {
				err := operation(t.Context(), lock)
				assert.ErrorContains(t, err, want, call)
				assert.Less(t, len(err.Error()), 1000, "errors do not repeat the whole of it")
				assert.NotErrorIs(t, err, rlock.ErrNotHeld)
				assert.NotErrorIs(t, err, rlock.ErrNotAcquired)
			}
		}
		assert.Empty(t, w.commands())
	})
}

func TestLongestNameWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		checkName(t, w, strings.Repeat("n", 64<<10))
	})
}

func TestNamesOfAnyBytesWork(t *testing.T) {
	for _, name := range []string{
		"x", " ", "two words", "line\nbreak", "\r\n", "nul\x00byte", "\x00", "naïve", "锁🔒", "\xff\xfe no text",
		"{", "}", "{}", "{tag}", "orders:{42}", "a{b", "a}b", "{{a}}", "%s %d", `"quoted"`, "*", "mode", "redisson_lock__channel:{x}",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkName(t, newWorld(t), name) })
		})
	}
}

// checkName locks, waits, wakes and unlocks under a name.
func checkName(t *testing.T, w *world, name string) {
	t.Helper()
	channel := "redisson_lock__channel:{" + name + "}"
	if strings.Contains(name, "{") {
		channel = "redisson_lock__channel:" + name
	}
	ours, theirs := w.lock(t, name), w.lock(t, name)
	hold := must(t)(ours.Lock(t.Context()))
	assert.Equal(t, name, hold.Name())
	assert.Equal(t, []string{name}, w.server.Keys())
	_, err := theirs.TryLock(t.Context(), 0)
	require.ErrorIs(t, err, rlock.ErrNotAcquired)
	start := time.Now()
	got := later(func() attempt { return attempted(theirs.Lock(t.Context())) })
	time.Sleep(11 * time.Second) // it is renewed
	assert.Equal(t, map[string]int{channel: 1}, w.server.PubSubNumSub(channel))
	require.NoError(t, hold.Unlock(t.Context()))
	must(t)(fields(await(t, got)))
	went(t, start, 11*time.Second)
}

func TestEveryOperationRefusesTheZeroOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		w.forget()
		ctx := rlock.WithOwner(t.Context(), rlock.Owner{})
		for call, operation := range operations {
			assert.ErrorContains(t, operation(ctx, lock), "the context's Owner is the zero Owner; use one that NewOwner returned", call)
		}
		assert.Empty(t, w.commands())
	})
}
