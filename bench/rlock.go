package bench

import (
	"context"
	"fmt"

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

// Turns returns this module's lock with a limit of turns in a row of one process.
func Turns(local int) Contender {
	const unlimited = 1 << 20 // nobody waits who does not know about tickets
	return Contender{Name: fmt.Sprintf("turns-%d", local), Open: openRlock(rlock.WithTurns(local, unlimited))}
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
