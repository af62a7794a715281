package rlock_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-rlock/rlock/rlock"
	"github.com/go-rlock/rlock/watchdog"
)

// A modelHold is what ought to be true of a hold.
type modelHold struct {
	*rlock.Hold

	actor  *actor
	lease  time.Duration // at most, when it was asked for
	fixed  bool          // it ends exactly a margin before its lease
	end    time.Time     // of its lease; zero: it is renewed until it is given back
	robbed time.Time     // when its lock was taken away from it; zero: it was not
	left   bool          // it was given back
	lost   error
}

func (h *modelHold) lives() bool { return !h.left && h.lost == nil && h.robbed.IsZero() }

// A model is what ought to be true of a lock.
type model struct {
	holder *actor       // who has it; nil: nobody
	count  int          // of holds, as the server was told
	kept   []*modelHold // for which the server keeps it: the living, and those that expired since it was told
	all    []*modelHold
}

// renewed reports whether somebody keeps the lock until it is given back.
func (m *model) renewed() bool {
	return slices.ContainsFunc(m.kept, func(h *modelHold) bool { return h.end.IsZero() })
}

// end returns when the server forgets the lock if nobody does anything.
func (m *model) end() (end time.Time) {
	for _, h := range m.kept {
		if h.end.After(end) {
			end = h.end
		}
	}
	return end
}

// pass notes what time has done.
func (m *model) pass() {
	if m.holder != nil && !m.renewed() && !time.Now().Before(m.end()) {
		m.holder, m.kept = nil, nil
	}
}

// living returns the holds of an actor that have not ended.
func (m *model) living(a *actor) []*modelHold {
	return slices.DeleteFunc(slices.Clone(m.all), func(h *modelHold) bool { return h.actor != a || !h.lives() })
}

// acquire notes that an actor got the lock.
func (m *model) acquire(h *modelHold) {
	m.count = len(m.living(h.actor)) + 1
	m.holder = h.actor
	m.kept, m.all = append(m.kept, h), append(m.all, h)
}

// release notes that a living hold was given back.
func (m *model) release(h *modelHold) {
	h.left = true
	m.kept = m.living(h.actor)
	if m.count = len(m.kept); m.count == 0 {
		m.holder = nil
	}
}

// rob notes that the lock was taken away from whoever has it.
func (m *model) rob() {
	for _, h := range m.kept {
		if h.lives() {
			h.robbed = time.Now()
		}
	}
	m.holder, m.kept = nil, nil
}

// An actor is an owner at a client.
type actor struct {
	name string
	lock *rlock.Lock
	ctx  context.Context
}

// A stage is a model beside the real thing.
type stage struct {
	model

	t      rapidTB
	world  *world
	actors []*actor
}

// rapidTB makes a testing.TB of a rapid.T.
type rapidTB struct {
	testing.TB

	t *rapid.T
}

func (r rapidTB) Helper()                           { r.t.Helper() }
func (r rapidTB) Cleanup(f func())                  { r.t.Cleanup(f) }
func (r rapidTB) Context() context.Context          { return r.t.Context() }
func (r rapidTB) Errorf(format string, args ...any) { r.t.Errorf(format, args...) }
func (r rapidTB) Fatalf(format string, args ...any) { r.t.Fatalf(format, args...) }
func (r rapidTB) FailNow()                          { r.t.FailNow() }

func TestLockBehavesLikeItsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		rapid.SyncTest(r, func(r *rapid.T) {
			p := newStage(rapidTB{t, r})
			r.Repeat(map[string]func(*rapid.T){
				"":            func(*rapid.T) { p.check() },
				"Lock":        p.tryLock,
				"Unlock":      p.unlock,
				"UnlockLock":  p.unlockLock,
				"ForceUnlock": p.forceUnlock,
				"Delete":      p.delete,
				"Pass":        p.passTime,
			})
		})
	})
}

func newStage(t rapidTB) *stage {
	p := &stage{t: t, world: newWorld(t)}
	for i := range 2 {
		rdb := p.world.connect(func(o *rueidis.ClientOption) { o.Dialer.KeepAlive = -1 }) // time passes faster without pings
		lock := p.world.clientOver(t, rdb).NewLock("orders")
		p.actors = append(p.actors,
			&actor{fmt.Sprintf("goroutine at client %d", i), lock, t.Context()},
			&actor{fmt.Sprintf("explicit owner at client %d", i), lock, stranger(t)},
			&actor{fmt.Sprintf("other explicit owner at client %d", i), lock, context.WithoutCancel(stranger(t))})
	}
	return p
}

func (p *stage) drawActor(r *rapid.T) *actor {
	return p.actors[rapid.IntRange(0, len(p.actors)-1).Draw(r, "actor")]
}

func seconds(least, most int) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.IntRange(1000*least, 1000*most), func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond })
}

// tryLock locks, waiting for a while or not, and predicts whether that succeeds.
func (p *stage) tryLock(r *rapid.T) {
	a := p.drawActor(r)
	wait := rapid.OneOf(rapid.Just(time.Duration(0)), seconds(0, 40)).Draw(r, "wait")
	h := &modelHold{actor: a, lease: 30 * time.Second}
	var options []rlock.LockOption
	kind := rapid.IntRange(0, 2).Draw(r, "kind")
	limit := time.Duration(0)
	switch kind {
	case 1:
		limit = seconds(1, 50).Draw(r, "lease")
		options = append(options, rlock.WithLease(limit))
		h.lease, h.fixed = limit, true
	case 2:
		limit = seconds(1, 70).Draw(r, "max hold")
		options = append(options, rlock.WithMaxHold(limit))
		h.lease = min(limit, h.lease)
	}
	start := time.Now()
	free := p.holder == nil || p.holder == a
	later := !free && !p.renewed() && !p.end().After(start.Add(wait))
	end := p.end()

	hold, err := a.lock.TryLock(a.ctx, wait, options...)
	for _, robbed := range p.all {
		if robbed.actor == a && !robbed.robbed.IsZero() && !robbed.left && robbed.lost == nil {
			require.Error(p.t, robbed.Err(), "an attempt finds out")
		}
	}
	p.look()
	p.pass()
	if !free && !later {
		require.ErrorIs(p.t, err, rlock.ErrNotAcquired)
		require.Equal(p.t, wait, time.Since(start))
		return
	}
	require.NoError(p.t, err)
	if free {
		require.Zero(p.t, time.Since(start))
	} else {
		require.LessOrEqual(p.t, time.Since(end), time.Millisecond, "after the lock became free")
	}
	h.Hold = hold
	if limit > 0 {
		h.end = time.Now().Add(limit)
	}
	p.acquire(h)
}

// unlock gives back any hold that there ever was.
func (p *stage) unlock(r *rapid.T) {
	if len(p.all) == 0 {
		r.Skip()
	}
	h := rapid.SampledFrom(p.all).Draw(r, "hold")
	p.unlocked(h, h.Unlock(p.drawActor(r).ctx))
}

// unlockLock gives back the innermost hold of an actor.
func (p *stage) unlockLock(r *rapid.T) {
	a := p.drawActor(r)
	mine := slices.DeleteFunc(slices.Clone(p.all), func(h *modelHold) bool { return h.actor != a || h.left || h.lost != nil })
	err := a.lock.Unlock(a.ctx)
	if len(mine) == 0 {
		require.ErrorIs(p.t, err, rlock.ErrNotHeld)
		return
	}
	h := mine[len(mine)-1]
	require.Equal(p.t, !h.lives(), errors.Is(err, rlock.ErrNotHeld))
	p.unlocked(h, err)
}

func (p *stage) unlocked(h *modelHold, err error) {
	switch {
	case h.lives():
		require.NoError(p.t, err)
		p.release(h)
	case h.left:
		require.NoError(p.t, err)
	default:
		require.ErrorIs(p.t, err, rlock.ErrLost)
		require.Error(p.t, h.Err())
	}
}

func (p *stage) forceUnlock(r *rapid.T) {
	a := p.drawActor(r)
	had, err := a.lock.ForceUnlock(a.ctx)
	require.NoError(p.t, err)
	require.Equal(p.t, p.holder != nil, had)
	robbed := p.kept
	p.rob()
	synctest.Wait()
	for _, h := range robbed {
		if h.actor.lock == a.lock {
			require.ErrorIs(p.t, h.Err(), rlock.ErrLost, "told at once")
		}
	}
}

func (p *stage) delete(*rapid.T) {
	require.Equal(p.t, p.holder != nil, p.world.server.Del("orders"))
	p.rob()
}

func (p *stage) passTime(r *rapid.T) {
	time.Sleep(rapid.OneOf(seconds(0, 1), seconds(0, 45)).Draw(r, "time"))
}

// look compares every hold with what it ought to be.
func (p *stage) look() {
	synctest.Wait()
	now := time.Now()
	for _, h := range p.all {
		err := h.Err()
		switch least := h.end.Add(-watchdog.Margin(h.lease)); {
		case h.left:
			require.NoError(p.t, err)
		case h.lost != nil:
			require.Same(p.t, h.lost, err)
		case !h.robbed.IsZero():
			require.False(p.t, err == nil && now.Sub(h.robbed) > 10*time.Second, "not told of a robbery within a period")
			require.Contains(p.t, []rlock.Reason{0, rlock.Removed, rlock.Expired}, reasonOf(err))
		case h.end.IsZero() || now.Before(least):
			require.NoError(p.t, err)
		case h.fixed || !now.Before(h.end):
			require.Equal(p.t, rlock.Expired, reasonOf(err))
		default: // the margin depends on when it was last renewed
			require.Contains(p.t, []rlock.Reason{0, rlock.Expired}, reasonOf(err))
		}
		h.lost = err
		require.Equal(p.t, h.left || err != nil, h.Context().Err() != nil)
	}
}

// check compares everything with what it ought to be.
func (p *stage) check() {
	p.look()
	p.pass()
	ttl, now := p.world.ttl("orders"), time.Now()
	require.Equal(p.t, p.holder != nil, p.world.server.Exists("orders"))
	if p.holder == nil {
		return
	}
	for _, a := range []*actor{p.holder, p.actors[len(p.all)%len(p.actors)]} {
		count, err := a.lock.HoldCount(a.ctx)
		require.NoError(p.t, err)
		if a == p.holder {
			require.Equal(p.t, p.count, count, a.name)
		} else {
			require.Zero(p.t, count, a.name)
		}
	}
	var least, most time.Duration
	for _, h := range p.kept {
		switch {
		case h.end.IsZero():
			least, most = max(least, 20*time.Second), max(most, 30*time.Second)
		case h.fixed:
			least, most = max(least, h.end.Sub(now)), max(most, h.end.Sub(now))
		default:
			least, most = max(least, min(20*time.Second, h.end.Sub(now))), max(most, h.end.Sub(now))
		}
	}
	require.LessOrEqual(p.t, least, ttl, "the lease is too short")
	require.LessOrEqual(p.t, ttl, most, "the lease is too long")
}
