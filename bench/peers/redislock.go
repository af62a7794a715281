package peers

import (
	"context"
	"errors"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/go-rlock/rlock/bench"
)

// redislockClient is bsm/redislock with go-redis. It tries again after 100 ms, as in
// its documentation; it does not renew.
type redislockClient struct {
	rdb    *redis.Client
	locker *redislock.Client
}

func openRedislock(addr string) (bench.Client, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	return redislockClient{rdb: rdb, locker: redislock.New(rdb)}, nil
}

func (c redislockClient) Mutex(name string) bench.Mutex { return redislockMutex{c.locker, name} }

func (c redislockClient) Close() error { return c.rdb.Close() }

type redislockMutex struct {
	locker *redislock.Client
	name   string
}

func (m redislockMutex) Lock(ctx context.Context) (bench.Held, error) {
	options := redislock.Options{RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond)}
	for {
		// Where the context has no deadline, it gives up after the time of the lease.
		lock, err := m.locker.Obtain(ctx, m.name, lease, &options)
		switch {
		case err == nil:
			return redislockHeld{lock}, nil
		case !errors.Is(err, redislock.ErrNotObtained) || ctx.Err() != nil:
			return nil, err
		}
	}
}

type redislockHeld struct{ lock *redislock.Lock }

func (h redislockHeld) Unlock(ctx context.Context) error { return h.lock.Release(ctx) }
