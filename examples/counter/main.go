// Command counter counts in Redis with GET and SET, which is only right as long as one
// process does it at a time. Start it in two terminals: they take turns under one lock.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

const key = "examples:counter"

func main() {
	address := flag.String("redis", "redis://127.0.0.1:6379", "the server")
	steps := flag.Int("n", 100, "how often to count")
	pace := flag.Duration("pace", 100*time.Millisecond, "time between reading the counter and writing it")
	flag.Parse()

	option, err := rueidis.ParseURL(*address)
	if err != nil {
		log.Fatal(err)
	}
	rdb, err := rueidis.NewClient(option)
	if err != nil {
		log.Fatal(err)
	}
	client, err := rlock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	lock := client.NewLock(key + ":lock")
	for i := 0; i < *steps && err == nil; i++ {
		err = lock.Do(ctx, func(ctx context.Context) error { return count(ctx, rdb, *pace) })
	}
	stop()
	err = errors.Join(err, client.Close())
	rdb.Close()
	if err != nil {
		log.Fatal(err)
	}
}

// count adds one to the counter. Its context ends if the lock is lost; then nothing is
// written any more.
func count(ctx context.Context, rdb rueidis.Client, pace time.Duration) error {
	n, err := rdb.Do(ctx, rdb.B().Get().Key(key).Build()).AsInt64()
	if err != nil && !rueidis.IsRedisNil(err) {
		return err
	}
	select {
	case <-time.After(pace):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := rdb.Do(ctx, rdb.B().Set().Key(key).Value(fmt.Sprint(n+1)).Build()).Error(); err != nil {
		return err
	}
	fmt.Println(n + 1)
	return nil
}
