//go:build unix

package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/worker"
)

const (
	// soon is within which lock and cache must be in use again.
	soon = time.Second
	// late is when something has not come about.
	late = 30 * time.Second
)

func TestNoViewIsLostAndNobodyWaitsWhileRedisIsDead(t *testing.T) {
	s := open(t, 10)
	start := time.Now()
	c := gather(t, s)
	m := &s.metrics
	eventually(t, late, "the cache is used and expires", func() bool {
		return m.Hits.Load() > readers && m.Misses.Load() >= 2*int64(s.articles)
	})
	s.fills(t, start)

	before := m.Fallbacks.Load()
	s.redis.Kill()
	dead := time.Now()
	eventually(t, late, "the database answers", func() bool { return m.Fallbacks.Load() >= before+3*readers })

	start = time.Now()
	took := c.during(dead, start)
	s.redis.Restart(t)
	back, hits := time.Now(), m.Hits.Load()
	eventually(t, late, "the cache is used again", func() bool { return m.Hits.Load() > hits })
	again := time.Since(back)
	eventually(t, late, "the cache goes on", func() bool { return m.Hits.Load() > hits+2*readers })
	s.fills(t, start)

	assert.Less(t, percentile(took, 99), wait/5, "the 99th percentile while Redis is dead")
	assert.Less(t, percentile(took, 100), wait, "the longest while Redis is dead")
	assert.Less(t, again, soon, "how long Redis was back before it was used")
	t.Logf("while Redis was dead: %d requests, median %s, p99 %s, longest %s; used again after %s",
		len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100), again)
	s.accounts(t, c.answered(t))
}

func TestNoViewIsLostAndNobodyWaitsTooLongWhileTheHolderIsStopped(t *testing.T) {
	s := open(t, 1)
	start := time.Now()
	c := gather(t, s)
	m := &s.metrics
	eventually(t, late, "the cache is used", func() bool { return m.Hits.Load() > readers })
	assert.Zero(t, m.Fallbacks.Load(), "nobody goes round a lock that moves on")

	const lock = "article:1"
	holder := worker.Start(t, worker.Job{
		Duty: worker.Obey, Server: s.redis.Addr(), Name: lock, WatchdogTimeout: 3 * wait,
	})
	require.Equal(t, "ready", holder.Hear(t))
	require.Contains(t, holder.Ask(t, "lock "+lock), "held ")
	holder.Freeze(t)
	left, ok := s.redis.Do(t, "PTTL", lock).(int64)
	require.True(t, ok)
	stopped, hits := time.Now(), m.Hits.Load()
	free := stopped.Add(time.Duration(left) * time.Millisecond)
	eventually(t, late, "the database answers", func() bool { return m.Fallbacks.Load() >= readers })
	assert.Less(t, time.Now(), free, "the lock is still the stopped one's")
	assert.Equal(t, hits, m.Hits.Load(), "nobody gets past the stopped holder")

	eventually(t, late, "the cache is used again", func() bool { return m.Hits.Load() > hits })
	again := time.Since(free)
	took := c.during(stopped, free)
	assert.Less(t, percentile(took, 100), 2*wait, "the longest while the holder is stopped")
	assert.Less(t, again, soon, "how long the lock was free before it was used")

	holder.Signal(t, syscall.SIGCONT)
	assert.Contains(t, holder.Ask(t, "look Err"), "lost: ", "the stopped one learns that it is too late")
	eventually(t, late, "the cache goes on", func() bool { return m.Hits.Load() > hits+2*readers })
	s.fills(t, start)
	t.Logf("while the holder was stopped: %d requests, median %s, p99 %s, longest %s; used again after %s",
		len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100), again)
	s.accounts(t, c.answered(t))
}
