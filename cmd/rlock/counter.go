package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

// counterLife is how long a counter stays when nobody is left to delete it. Every
// write starts it anew.
const counterLife = 24 * time.Hour

// newCounterKey returns a key that no other run uses. It shares the lock's hash tag.
func newCounterKey() string {
	return fmt.Sprintf("{%s}:counter:%s", lockName, rand.Text()[:10])
}

// readCounter reads the counter with a plain GET.
func readCounter(ctx context.Context, rdb rueidis.Client, key string) (int64, error) {
	n, err := rdb.Do(ctx, rdb.B().Get().Key(key).Build()).AsInt64()
	if rueidis.IsRedisNil(err) {
		err = errors.New("it is gone from the server")
	}
	if err != nil {
		return 0, fmt.Errorf("read the counter: %w", err)
	}
	return n, nil
}

// writeCounter writes the counter with a plain SET.
func writeCounter(ctx context.Context, rdb rueidis.Client, key string, n int64) error {
	set := rdb.B().Set().Key(key).Value(fmt.Sprint(n)).Ex(counterLife).Build()
	if err := rdb.Do(ctx, set).Error(); err != nil {
		return fmt.Errorf("write the counter: %w", err)
	}
	return nil
}

// deleteCounter deletes the counter.
func deleteCounter(ctx context.Context, rdb rueidis.Client, key string) error {
	if err := rdb.Do(ctx, rdb.B().Del().Key(key).Build()).Error(); err != nil {
		return fmt.Errorf("delete the counter: %w", err)
	}
	return nil
}
