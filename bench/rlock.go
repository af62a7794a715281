package bench

import (
	"context"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// rlockClient is this module's lock.
type rlockClient struct {
	rdb    rueidis.Client
	client *rlock.Client
}

func openRlock(options ...rlock.Option) func(addr string) (Client, error) {
	return func(addr string) (Client, error) {
		rdb, err := dial(addr)
		if err != nil {
			return nil, err
		}
		client, err := rlock.New(rdb, options...)
		if err != nil {
			rdb.Close()
			return nil, err
		}
		return rlockClient{rdb: rdb, client: client}, nil
	}
}

func (c rlockClient) Mutex(name string) Mutex { return rlockMutex{c.client.NewLock(name)} }

func (c rlockClient) Close() error {
	err := c.client.Close()
	c.rdb.Close()
	return err
}

type rlockMutex struct{ lock *rlock.Lock }

func (m rlockMutex) Lock(ctx context.Context) (Held, error) {
	hold, err := m.lock.Lock(ctx)
	if err != nil {
		return nil, err
	}
	return hold, nil
}
