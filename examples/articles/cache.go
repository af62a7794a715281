package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// A Cache keeps articles in Redis for a while. It holds what does not change when an
// article is read: everything but the views.
type Cache struct {
	rdb rueidis.Client
	ttl time.Duration
}

// Get returns the article, and whether it was there.
func (c *Cache) Get(ctx context.Context, id int64) (Article, bool, error) {
	ctx, cancel := answerTime(ctx)
	defer cancel()
	data, err := c.rdb.Do(ctx, c.rdb.B().Get().Key(key(id)).Build()).AsBytes()
	if rueidis.IsRedisNil(err) {
		return Article{}, false, nil
	}
	if err != nil {
		return Article{}, false, err
	}
	var a Article
	if err := json.Unmarshal(data, &a); err != nil {
		return Article{}, false, err
	}
	return a, true, nil
}

// Put keeps the article for the time to live.
func (c *Cache) Put(ctx context.Context, a Article) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	ctx, cancel := answerTime(ctx)
	defer cancel()
	return c.rdb.Do(ctx, c.rdb.B().Set().Key(key(a.ID)).Value(rueidis.BinaryString(data)).Px(c.ttl).Build()).Error()
}

func key(id int64) string { return fmt.Sprintf("article:%d:cached", id) }

// answerLimit bounds how long a command waits for the answer of a Redis that is silent.
const answerLimit = time.Second

// answerTime returns a context that ends only if Redis is silent. The reader's own is not
// given to rueidis: many requests share a connection, which rueidis may close when the
// deadline of one of them passes.
func answerTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), answerLimit)
}
