package bench

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/rlock"
)

// A Contender is a way to lock.
type Contender struct {
	// Name is its name in the results.
	Name string
	// Bare means that it is not made for waiting: it takes part only where nobody
	// waits.
	Bare bool
	// Open connects to the server at addr.
	Open func(addr string) (Client, error)
}

// A Client is what one process has of a contender. It may be used by several
// goroutines at once.
type Client interface {
	// Mutex returns the lock of that name, for one goroutine.
	Mutex(name string) Mutex
	// Close gives back everything. Nothing is locked.
	Close() error
}

// A Mutex is a lock, as one goroutine sees it.
type Mutex interface {
	// Lock waits until it has the lock or ctx ends.
	Lock(ctx context.Context) (Held, error)
}

// Held is a lock that somebody has.
type Held interface {
	// Unlock gives it back.
	Unlock(ctx context.Context) error
}

// Contenders returns those of this package.
func Contenders() []Contender {
	return append([]Contender{
		{Name: "rlock", Open: openRlock},
		{Name: "floor", Open: openFloor, Bare: true},
	}, spinners()...)
}

// dial returns the client of the server that every contender here has.
func dial(addr string) (rueidis.Client, error) {
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{addr},
		ForceSingleClient: true,
		DisableCache:      true,
	})
}

type rlockClient struct {
	rdb    rueidis.Client
	client *rlock.Client
}

func openRlock(addr string) (Client, error) {
	rdb, err := dial(addr)
	if err != nil {
		return nil, err
	}
	client, err := rlock.New(rdb)
	if err != nil {
		rdb.Close()
		return nil, err
	}
	return rlockClient{rdb: rdb, client: client}, nil
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

// floorClient is the two scripts and nothing else.
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
