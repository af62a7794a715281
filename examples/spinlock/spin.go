package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// A spin is the lock that people write first: SET NX in a loop. It is a good one of its
// kind: it has an expiry, and a token by which it deletes only what is its own.
type spin struct {
	rdb   rueidis.Client
	lease time.Duration // 0: for ever
	pause time.Duration // between attempts
}

var errStolen = errors.New("spin lock: it was somebody else's, or nobody's, when it was given back")

// release deletes the lock if it is still the caller's.
var release = rueidis.NewLuaScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0`)

// lock waits for the lock and returns the token to unlock it.
func (l spin) lock(ctx context.Context) (token string, err error) {
	token = rand.Text()
	for {
		set := l.rdb.B().Set().Key(name).Value(token).Nx()
		command := set.Build
		if l.lease > 0 {
			command = set.PxMilliseconds(l.lease.Milliseconds()).Build
		}
		err := l.rdb.Do(ctx, command()).Error()
		if !rueidis.IsRedisNil(err) {
			return token, err
		}
		if err := rest(ctx, l.pause); err != nil {
			return "", err
		}
	}
}

// unlock gives the lock back, or returns errStolen.
func (l spin) unlock(ctx context.Context, token string) error {
	deleted, err := release.Exec(ctx, l.rdb, []string{name}, []string{token}).AsInt64()
	if err == nil && deleted == 0 {
		return errStolen
	}
	return err
}
