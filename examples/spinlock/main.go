// Command spinlock shows a lock that is a loop around SETNX beside package rlock:
//
//	spinlock load      what Redis sees of 1 to 64 waiters, drawn as load.svg
//	spinlock crash     what happens when the holder dies without unlocking
//	spinlock overrun   what happens when the work outlasts the lease
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// name is that of every lock, which is deleted before it is used.
const name = "examples:spinlock"

// A stage is what the comparisons need.
type stage struct {
	address string
	option  rueidis.ClientOption
	rdb     rueidis.Client
}

func main() {
	address := flag.String("redis", "redis://127.0.0.1:6379", "a server that nobody else uses")
	window := flag.Duration("window", 3*time.Second, "load: for how long to measure each number of waiters")
	most := flag.Int("most", 64, "load: the largest number of waiters")
	file := flag.String("out", "load.svg", "load: where to draw")
	lease := flag.Duration("lease", 3*time.Second, "crash, overrun: the lease of the lock")
	flag.Parse()
	log.SetFlags(0)

	option, err := rueidis.ParseURL(*address)
	if err != nil {
		log.Fatal(err)
	}
	s := stage{address: *address, option: option}
	if s.rdb, err = rueidis.NewClient(option); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	switch flag.Arg(0) {
	case "load":
		err = s.load(ctx, *most, *window, *file)
	case "crash":
		err = s.crash(ctx, *lease)
	case "overrun":
		err = s.overrun(ctx, *lease)
	case "die": // started by crash
		err = s.die(ctx, flag.Arg(1), *lease)
	default:
		err = errors.New("usage: spinlock [flags] load | crash | overrun")
	}
	stop()
	s.rdb.Close()
	if err != nil {
		log.Fatal(err)
	}
}

// An instance is an rlock client with connections of its own, as another process would
// have it.
type instance struct {
	client *rlock.Client
	rdb    rueidis.Client
}

func (s stage) open(options ...rlock.Option) (instance, error) {
	rdb, err := rueidis.NewClient(s.option)
	if err != nil {
		return instance{}, err
	}
	client, err := rlock.New(rdb, options...)
	if err != nil {
		rdb.Close()
	}
	return instance{client, rdb}, err
}

// close gives back what the instance has locked.
func (i instance) close() error {
	defer i.rdb.Close()
	return i.client.Close()
}

// clear deletes what an earlier run has left.
func (s stage) clear(ctx context.Context) error {
	keys := []string{name, chest, purse, "rlock_queue:{" + name + "}"}
	return s.rdb.Do(ctx, s.rdb.B().Del().Key(keys...).Build()).Error()
}

// rest waits for d, or until ctx ends, and then returns why.
func rest(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
