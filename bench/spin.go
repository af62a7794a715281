package bench

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	random "math/rand/v2"
	"time"

	"github.com/redis/rueidis"
)

// lease is for how long a lock is taken: the library's default.
const lease = 30 * time.Second

// errLost means that a lock was somebody else's, or nobody's, when it was given back.
var errLost = errors.New("bench: the lock was lost")

//go:embed spin_release.lua
var spinReleaseSource string

var spinRelease = rueidis.NewLuaScript(spinReleaseSource)

// spinners returns the spin locks, which differ in the pause before they try again.
func spinners() []Contender {
	spinner := func(name string, pause func(attempt int) time.Duration) Contender {
		return Contender{Name: name, Open: func(addr string) (Client, error) {
			rdb, err := dial(addr)
			if err != nil {
				return nil, err
			}
			return spinClient{rdb: rdb, pause: pause}, nil
		}}
	}
	constant := func(d time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return d }
	}
	return []Contender{
		spinner("spin", constant(0)),
		spinner("spin-1ms", constant(time.Millisecond)),
		spinner("spin-100ms", constant(100*time.Millisecond)),
		spinner("spin-backoff", backoff),
	}
}

// backoff returns a random pause of up to 1 ms after the first attempt, and of up to
// twice as much after each following one, but not more than 100 ms.
func backoff(attempt int) time.Duration {
	most := min(time.Millisecond<<min(attempt, 10), 100*time.Millisecond)
	return 1 + random.N(most)
}

type spinClient struct {
	rdb   rueidis.Client
	pause func(attempt int) time.Duration
}

func (c spinClient) Mutex(name string) Mutex { return spinMutex{spinClient: c, name: name} }

func (c spinClient) Close() error {
	c.rdb.Close()
	return nil
}

type spinMutex struct {
	spinClient

	name string
}

func (m spinMutex) Lock(ctx context.Context) (Held, error) {
	token := rand.Text()
	for attempt := 0; ; attempt++ {
		set := m.rdb.B().Set().Key(m.name).Value(token).Nx().PxMilliseconds(lease.Milliseconds()).Build()
		err := m.rdb.Do(ctx, set).Error()
		switch {
		case err == nil:
			return spinHeld{mutex: m, token: token}, nil
		case !rueidis.IsRedisNil(err):
			return nil, err
		}
		if err := sleep(ctx, m.pause(attempt)); err != nil {
			return nil, err
		}
	}
}

type spinHeld struct {
	mutex spinMutex
	token string
}

func (h spinHeld) Unlock(ctx context.Context) error {
	deleted, err := spinRelease.Exec(ctx, h.mutex.rdb, []string{h.mutex.name}, []string{h.token}).AsInt64()
	if err == nil && deleted == 0 {
		err = errLost
	}
	return err
}

// sleep waits for d, or returns the error of ctx when that ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
