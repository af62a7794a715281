package peers

import (
	"context"
	"math"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"github.com/go-rlock/rlock/bench"
)

// redsyncClient is go-redsync/redsync with go-redis. It tries again after random
// pauses of 50 to 250 ms, its default; it does not renew.
type redsyncClient struct {
	rdb  *redis.Client
	sync *redsync.Redsync
}

func openRedsync(addr string) (bench.Client, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	return redsyncClient{rdb: rdb, sync: redsync.New(goredis.NewPool(rdb))}, nil
}

func (c redsyncClient) Mutex(name string) bench.Mutex { return redsyncMutex{c.sync, name} }

func (c redsyncClient) Close() error { return c.rdb.Close() }

type redsyncMutex struct {
	sync *redsync.Redsync
	name string
}

func (m redsyncMutex) Lock(ctx context.Context) (bench.Held, error) {
	// It gives up after 32 attempts unless it is told otherwise.
	mutex := m.sync.NewMutex(m.name, redsync.WithExpiry(lease), redsync.WithTries(math.MaxInt))
	if err := mutex.LockContext(ctx); err != nil {
		return nil, err
	}
	return redsyncHeld{mutex}, nil
}

type redsyncHeld struct{ mutex *redsync.Mutex }

func (h redsyncHeld) Unlock(ctx context.Context) error {
	_, err := h.mutex.UnlockContext(ctx)
	return err
}
