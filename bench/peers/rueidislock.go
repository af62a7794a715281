package peers

import (
	"context"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"github.com/go-rlock/rlock/bench"
)

// rueidislockClient is redis/rueidis/rueidislock with the options that its
// documentation recommends for one server. It waits on invalidations of the client side
// cache, and renews.
type rueidislockClient struct{ locker rueidislock.Locker }

func openRueidislock(addr string) (bench.Client, error) {
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true},
		KeyMajority:    1,
		NoLoopTracking: true,
	})
	if err != nil {
		return nil, err
	}
	return rueidislockClient{locker}, nil
}

func (c rueidislockClient) Mutex(name string) bench.Mutex { return rueidislockMutex{c.locker, name} }

func (c rueidislockClient) Close() error {
	c.locker.Close()
	return nil
}

type rueidislockMutex struct {
	locker rueidislock.Locker
	name   string
}

func (m rueidislockMutex) Lock(ctx context.Context) (bench.Held, error) {
	_, release, err := m.locker.WithContext(ctx, m.name)
	if err != nil {
		return nil, err
	}
	return rueidislockHeld(release), nil
}

type rueidislockHeld func()

// Unlock returns once the lock is being given back. It cannot tell whether that works.
func (h rueidislockHeld) Unlock(context.Context) error {
	h()
	return nil
}
