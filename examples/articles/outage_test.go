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

// soon is within which lock and cache must be in use again.
const soon = time.Second

func TestNoViewIsLostAndNobodyWaitsWhileRedisIsDead(t *testing.T) {
	s := open(t, 20)
	start := time.Now()
	c := gather(t, s)
	m := &s.metrics
	eventually(t, "the cache is used and expires", func() bool {
		return m.Hits.Load() > readers && m.Misses.Load() >= 2*int64(s.articles)
	})
	s.fills(t, start)

	before := m.Fallbacks.Load()
	s.redis.Kill()
	dead := time.Now()
	eventually(t, "the database answers", func() bool { return m.Fallbacks.Load() >= before+2*readers })

	start = time.Now()
	took := c.during(dead, start)
	s.redis.Restart(t)
	back, hits := time.Now(), m.Hits.Load()
	eventually(t, "the cache is used again", func() bool { return m.Hits.Load() > hits })
	again := time.Since(back)
	eventually(t, "the cache goes on", func() bool { return m.Hits.Load() > hits+readers })
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
	eventually(t, "the cache is used", func() bool { return m.Hits.Load() > readers })
	assert.Zero(t, m.Fallbacks.Load(), "nobody goes round a lock that moves on")

	const lock = "article:1"
	holder := worker.Start(t, worker.Job{
		Duty: worker.Obey, Server: s.redis.Addr(), Name: lock, WatchdogTimeout: 3 * wait,
	})
	require.Equal(t, "ready", holder.Hear(t))
	require.Contains(t, holder.Ask(t, "lock "+lock), "held ")
	var left int64 // in milliseconds; a lock that was handed over has its whole lease after a second
	eventually(t, "the holder has its whole lease", func() bool {
		ttl, ok := s.redis.Do(t, "PTTL", lock).(int64)
		left = ttl
		return ok && ttl > (2*wait).Milliseconds()
	})
	holder.Freeze(t)
	stopped, hits := time.Now(), m.Hits.Load()
	free := stopped.Add(time.Duration(left) * time.Millisecond)
	eventually(t, "the database answers", func() bool { return m.Fallbacks.Load() >= readers })
	assert.Less(t, time.Now(), free, "the lock is still the stopped one's")
	assert.Equal(t, hits, m.Hits.Load(), "nobody gets past the stopped holder")

	eventually(t, "the cache is used again", func() bool { return m.Hits.Load() > hits })
	again := time.Since(free)
	took := c.during(stopped, free)
	assert.Less(t, percentile(took, 100), 2*wait, "the longest while the holder is stopped")
	assert.Less(t, again, soon, "how long the lock was free before it was used")

	holder.Signal(t, syscall.SIGCONT)
	assert.Contains(t, holder.Ask(t, "look Err"), "lost: ", "the stopped one learns that it is too late")
	eventually(t, "the cache goes on", func() bool { return m.Hits.Load() > hits+readers })
	s.fills(t, start)
	t.Logf("while the holder was stopped: %d requests, median %s, p99 %s, longest %s; used again after %s",
		len(took), percentile(took, 50), percentile(took, 99), percentile(took, 100), again)
	s.accounts(t, c.answered(t))
}

func TestSilentRedisCostsFewReadersTheirPatience(t *testing.T) {
	s := open(t, 20)
	c := gather(t, s)
	m := &s.metrics
	eventually(t, "the cache is used", func() bool { return m.Hits.Load() > readers })

	before := m.Fallbacks.Load()
	s.redis.Pause(t)
	eventually(t, "somebody has waited in vain", func() bool { return m.Fallbacks.Load() > before })
	known := time.Now()
	eventually(t, "the database answers", func() bool { return m.Fallbacks.Load() >= before+4*readers })
	lasted := time.Since(known)
	s.redis.Resume(t)
	hits := m.Hits.Load()
	eventually(t, "the cache is used again", func() bool { return m.Hits.Load() > hits })
	answered := c.answered(t)

	patient := 0
	for _, v := range c.visits {
		if v.begin.After(known) && v.begin.Before(known.Add(lasted)) && v.took() > wait/2 {
			patient++
		}
	}
	assert.LessOrEqual(t, patient, 1+int(lasted/probeEvery), "who waited for a Redis that is known to be silent")
	longest := percentile(c.during(known.Add(-wait), known.Add(lasted)), 100)
	assert.Less(t, longest, 2*wait, "the longest while Redis is silent")
	t.Logf("%d readers waited in %s; the longest for %s", patient, lasted, longest)
	s.accounts(t, answered)
}
