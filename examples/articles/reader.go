package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// A Reader answers those who want to read an article, and counts them. Under the lock of
// the article it answers from the cache and fills it when it is empty, so that nobody
// fills it twice, and so that those who count are not in each other's way. Without the
// lock, or without Redis, it answers from the database. The count is right either way.
type Reader struct {
	store   *Store
	cache   *Cache
	locks   *rlock.Client
	wait    time.Duration // how long a reader waits for the lock of an article
	log     *slog.Logger
	outage  *outage
	metrics Metrics
}

// lease bounds how long an instance that stopped in the middle of a reading keeps others
// from the lock. A reading takes milliseconds.
const lease = 3 * time.Second

// errOutage means that Redis did not answer a moment ago.
var errOutage = errors.New("redis is down")

// NewReader returns a Reader of the database and the Redis that c names. Redis may be
// down.
func NewReader(ctx context.Context, c config) (*Reader, error) {
	store, err := OpenStore(ctx, c.database)
	if err != nil {
		return nil, err
	}
	rdb, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{c.redis},
		ForceSingleClient: true, // makes a client also while Redis is down
		DisableCache:      true,
		DisableRetry:      true, // the database is the other attempt
	})
	if rdb == nil {
		return nil, errors.Join(err, store.Close())
	}
	// A reader has the database to turn to, so nobody rides out a fault for long.
	locks, err := rlock.New(rdb, rlock.WithGracePeriod(100*time.Millisecond), rlock.WithLogger(c.log))
	if err != nil {
		rdb.Close()
		return nil, errors.Join(err, store.Close())
	}
	return &Reader{
		store:  store,
		cache:  &Cache{rdb: rdb, ttl: c.ttl},
		locks:  locks,
		wait:   c.wait,
		log:    c.log,
		outage: newOutage(),
	}, nil
}

// Close gives back what is locked and closes what is open.
func (r *Reader) Close() error {
	err := r.locks.Close()
	r.cache.rdb.Close()
	return errors.Join(err, r.store.Close())
}

// Read counts a view of the article and returns it.
func (r *Reader) Read(ctx context.Context, id int64) (Article, error) {
	hold, err := r.lock(ctx, id)
	if ctx.Err() != nil && err != nil {
		return Article{}, err
	}
	if err != nil {
		return r.direct(ctx, id)
	}
	defer r.unlock(ctx, hold)
	return r.cached(ctx, id, hold)
}

// lock waits for the lock of the article, unless Redis is down.
func (r *Reader) lock(ctx context.Context, id int64) (*rlock.Hold, error) {
	if !r.outage.mayAsk() {
		return nil, errOutage
	}
	hold, err := r.locks.NewLock(fmt.Sprintf("article:%d", id)).TryLock(ctx, r.wait, rlock.WithLease(lease))
	switch {
	case err == nil, errors.Is(err, rlock.ErrNotAcquired):
		r.outage.end()
	case ctx.Err() == nil:
		r.down(ctx, err)
	}
	return hold, err
}

// unlock gives the lock back. If that fails, the lock ends with its lease, and whoever
// took it meanwhile was not harmed: the database looks after itself. The answer to the
// reader does not wait long for a Redis that is silent.
func (r *Reader) unlock(ctx context.Context, hold *rlock.Hold) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	err := hold.Unlock(ctx)
	switch {
	case errors.Is(err, rlock.ErrLost):
		r.log.WarnContext(ctx, "the lock was lost while the article was read", "error", err)
	case err != nil:
		r.down(ctx, err)
	}
}

// down notes and tells that Redis did not answer.
func (r *Reader) down(ctx context.Context, err error) {
	r.outage.begin()
	r.log.WarnContext(ctx, "reading from the database alone", "error", err)
}

// cached reads the article from the cache, or fills it, under the lock.
func (r *Reader) cached(ctx context.Context, id int64, hold *rlock.Hold) (Article, error) {
	a, found, err := r.cache.Get(ctx, id)
	if err != nil {
		r.down(ctx, err)
		return r.direct(ctx, id)
	}
	if found {
		r.metrics.Hits.Add(1)
		return r.count(ctx, a)
	}
	r.metrics.Misses.Add(1)
	if a, err = r.store.Article(ctx, id); err != nil {
		return Article{}, err
	}
	if hold.Err() == nil {
		if err := r.cache.Put(ctx, a); err != nil {
			r.down(ctx, err)
		}
	}
	return r.count(ctx, a)
}

// direct reads the article from the database.
func (r *Reader) direct(ctx context.Context, id int64) (Article, error) {
	r.metrics.Fallbacks.Add(1)
	a, err := r.store.Article(ctx, id)
	if err != nil {
		return Article{}, err
	}
	return r.count(ctx, a)
}

// count adds a view to the article.
func (r *Reader) count(ctx context.Context, a Article) (Article, error) {
	views, conflicts, err := r.store.CountView(ctx, a.ID)
	r.metrics.Conflicts.Add(int64(conflicts))
	a.Views = views
	return a, err
}
