package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"time"

	"github.com/redis/rueidis"
)

// spinKey is not the lock's own name: the one is a hash, the other a string.
const spinKey = lockName + ":spin"

//go:embed spin_release.lua
var spinReleaseSource string

var spinRelease = rueidis.NewLuaScript(spinReleaseSource)

// spinLocker is the lock that users of a plain Redis client write: SET NX with a
// token until it works, then compare and delete.
type spinLocker struct {
	rdb   rueidis.Client
	wait  time.Duration
	lease time.Duration
}

func newSpinLocker(rdb rueidis.Client, wait, lease time.Duration) *spinLocker {
	return &spinLocker{rdb: rdb, wait: wait, lease: lease}
}

func (l *spinLocker) acquire(ctx context.Context) (holding, error) {
	token := rand.Text()
	deadline := time.Now().Add(l.wait)
	whole := context.WithoutCancel(ctx) // a command is not cut short, so its outcome is known
	for {
		set := l.rdb.B().Set().Key(spinKey).Value(token).Nx().PxMilliseconds(l.lease.Milliseconds()).Build()
		err := l.rdb.Do(whole, set).Error()
		switch {
		case err == nil:
			return spinHolding{rdb: l.rdb, token: token}, nil
		case !rueidis.IsRedisNil(err):
			return nil, err
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case !time.Now().Before(deadline):
			return nil, errSkipped
		}
	}
}

func (*spinLocker) close() error { return nil }

// spinHolding is a spin lock that is held, as far as anybody knows.
type spinHolding struct {
	rdb   rueidis.Client
	token string
}

func (spinHolding) gone() <-chan struct{} { return nil }
func (spinHolding) err() error            { return nil }

func (h spinHolding) release(ctx context.Context) error {
	deleted, err := spinRelease.Exec(ctx, h.rdb, []string{spinKey}, []string{h.token}).AsInt64()
	if err == nil && deleted == 0 {
		return errLost
	}
	return err
}
