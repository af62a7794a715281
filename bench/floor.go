package bench

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/lua"
)

// floorClient is the two scripts and nothing else. It is not made for waiting.
type floorClient struct {
	rdb    rueidis.Client
	id     string
	owners *atomic.Int64
}

func openFloor(addr string) (Client, error) {
	rdb, err := dial(addr)
	if err != nil {
		return nil, err
	}
	return floorClient{rdb: rdb, id: uuid.NewString(), owners: new(atomic.Int64)}, nil
}

func (c floorClient) Mutex(name string) Mutex {
	return &floorMutex{
		rdb:     c.rdb,
		name:    name,
		owner:   fmt.Sprintf("%s:%d", c.id, c.owners.Add(1)),
		channel: "redisson_lock__channel:{" + name + "}",
	}
}

func (c floorClient) Close() error {
	c.rdb.Close()
	return nil
}

type floorMutex struct {
	rdb                  rueidis.Client
	name, owner, channel string
}

// Lock tries until it works. In a measurement that is once.
func (m *floorMutex) Lock(ctx context.Context) (Held, error) {
	for {
		got, err := lua.Acquire(ctx, m.rdb, m.name, m.owner, 1, lease)
		if err != nil {
			return nil, err
		}
		if got.Status == lua.Done {
			return m, nil
		}
	}
}

func (m *floorMutex) Unlock(ctx context.Context) error {
	got, err := lua.Release(ctx, m.rdb, m.name, m.owner, m.channel)
	if err == nil && got.Status != lua.Done {
		err = errLost
	}
	return err
}
