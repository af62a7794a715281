package rlock_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

func TestReasonsHaveWords(t *testing.T) {
	words := map[rlock.Reason]string{
		rlock.Expired:      "lease expired",
		rlock.Removed:      "removed or taken over",
		rlock.Unreachable:  "server unreachable",
		rlock.ClientClosed: "client closed",
		0:                  "Reason(0)",
		17:                 "Reason(17)",
	}
	for reason, want := range words {
		assert.Equal(t, want, reason.String())
	}
}

func TestLostErrorTellsAndWraps(t *testing.T) {
	plain := &rlock.LostError{Name: "orders", Reason: rlock.Removed}
	require.EqualError(t, plain, `rlock: lock "orders" lost: removed or taken over`)
	require.ErrorIs(t, plain, rlock.ErrLost)
	require.NotErrorIs(t, plain, rlock.ErrNotHeld)

	faulty := &rlock.LostError{Name: "a\nb", Reason: rlock.Unreachable, Err: io.ErrUnexpectedEOF}
	require.EqualError(t, faulty, `rlock: lock "a\nb" lost: server unreachable: unexpected EOF`)
	require.ErrorIs(t, faulty, rlock.ErrLost)
	require.ErrorIs(t, faulty, io.ErrUnexpectedEOF)
}

func TestErrorsShortenLongNames(t *testing.T) {
	err := &rlock.LostError{Name: strings.Repeat("é", 5000), Reason: rlock.Expired}
	assert.Less(t, len(err.Error()), 300)
	assert.ErrorContains(t, err, "(10000 bytes)")
}

func TestErrorsAreDistinct(t *testing.T) {
	all := []error{rlock.ErrNotAcquired, rlock.ErrNotHeld, rlock.ErrLost, rlock.ErrUnavailable, rlock.ErrClosed}
	for i, a := range all {
		for j, b := range all {
			assert.Equal(t, i == j, errors.Is(a, b))
		}
	}
}

func TestOwnersAreDistinctAndComparable(t *testing.T) {
	seen := make(map[rlock.Owner]bool)
	for range 1000 {
		owner := rlock.NewOwner()
		require.NotZero(t, owner)
		require.False(t, seen[owner])
		seen[owner] = true
	}
}

func TestRefusedPublishIsLoggedOnceAndNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var log bytes.Buffer
		client := w.client(t, rlock.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		w.deny("PUBLISH", "NOPERM this user has no permissions to access one of the channels")
		for i := range 3 {
			lock := client.NewLock(fmt.Sprint("orders:", i))
			hold := must(t)(lock.Lock(t.Context()))
			require.NoError(t, hold.Unlock(t.Context()))
			assert.False(t, w.server.Exists(lock.Name()))
		}
		must(t)(client.NewLock("orders").Lock(t.Context()))
		had, err := client.NewLock("orders").ForceUnlock(t.Context())
		require.NoError(t, err)
		assert.True(t, had)
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		assert.Contains(t, log.String(), "redisson_lock__channel:{orders:0}")
	})
}

func TestWaiterNoticesAnUnheardReleaseWhenTheLeaseItKnowsOfEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.deny("PUBLISH", "NOPERM this user has no permissions to access one of the channels")
		holder := lockTaken(t, w, rlock.WithLease(10*time.Second))
		lock := w.lock(t, "orders")
		start := time.Now()
		got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
		time.Sleep(time.Second)
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
		went(t, start, 10*time.Second+time.Millisecond)
	})
}

func TestFailedRenewalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var log bytes.Buffer
		client := w.client(t, rlock.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		must(t)(client.NewLock("orders").Lock(t.Context()))
		time.Sleep(25 * time.Second)
		synctest.Wait()
		require.Empty(t, log.String())
		w.refuse(loading)
		time.Sleep(5*time.Second + time.Millisecond)
		w.repair()
		synctest.Wait()
		assert.Contains(t, log.String(), loading)
		assert.LessOrEqual(t, strings.Count(log.String(), "\n"), 20)
	})
}

func TestLossesOfManyLocksAreRememberedUpToALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		const limit = 1024
		name := func(i int) string { return fmt.Sprint("orders:", i) }
		for i := range limit + 1 {
			must(t)(client.NewLock(name(i)).Lock(t.Context(), rlock.WithLease(time.Second+time.Duration(i)*time.Millisecond)))
		}
		time.Sleep(time.Minute)
		for i, want := range map[int]bool{0: false, 1: true, limit: true} {
			err := client.NewLock(name(i)).Unlock(t.Context())
			require.ErrorIs(t, err, rlock.ErrNotHeld)
			assert.Equal(t, want, errors.Is(err, rlock.ErrLost), i)
		}
	})
}
