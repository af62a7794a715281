// Command cron runs a command at regular times, once, however many instances of it are
// running on however many machines.
//
//	cron -every 1m -min 20s -- backup --all
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

func main() {
	address := flag.String("redis", "redis://127.0.0.1:6379", "the server")
	name := flag.String("name", "examples:cron", "the name of the job")
	every := flag.Duration("every", 10*time.Second, "when to run: whenever the clock shows a multiple of this")
	least := flag.Duration("min", 3*time.Second, "for how long at least nobody else may run it: more than the clocks differ")
	ahead := flag.Duration("ahead", 0, "how much this clock is ahead, to see what clocks that differ do")
	timeout := flag.Duration("timeout", 30*time.Second, "when another instance takes over from one that died at work")
	flag.Parse()
	if flag.NArg() == 0 || *least <= 0 || *least >= *every {
		fmt.Fprintln(os.Stderr, "usage: cron [flags] -- command [argument ...], with 0 < -min < -every")
		os.Exit(2)
	}
	log.SetFlags(0)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	option, err := rueidis.ParseURL(*address)
	if err != nil {
		log.Fatal(err)
	}
	rdb, err := rueidis.NewClient(option)
	if err != nil {
		log.Fatal(err)
	}
	defer rdb.Close()
	client, err := rlock.New(rdb, rlock.WithWatchdogTimeout(*timeout))
	if err != nil {
		log.Fatal(err)
	}
	defer func() {
		if err := client.Close(); err != nil {
			log.Print(err)
		}
	}()
	j := job{lock: client.NewLock(*name), least: *least, command: flag.Args()}
	clock{every: *every, ahead: *ahead}.run(ctx, j)
}

// A clock says when to run.
type clock struct {
	every, ahead time.Duration
}

// run runs a job at every tick until ctx ends, and tells what came of it.
func (c clock) run(ctx context.Context, j job) {
	for {
		now := time.Now().Add(c.ahead)
		tick := now.Truncate(c.every).Add(c.every)
		select {
		case <-time.After(tick.Sub(now)):
		case <-ctx.Done():
			return
		}
		switch err := j.run(ctx); {
		case err == nil:
			fmt.Println(tick.Unix(), "done")
		case errors.Is(err, rlock.ErrNotAcquired):
			fmt.Println(tick.Unix(), "left to another instance")
		default:
			fmt.Println(tick.Unix(), "failed:", err)
		}
	}
}

// A job is a command that one instance at a time runs.
type job struct {
	lock    *rlock.Lock
	least   time.Duration
	command []string
}

// run runs the command, or returns an error that wraps ErrNotAcquired if another
// instance runs it or has just done so.
//
// The lock lasts as long as the command, whose context ends if the lock is lost or the
// program is to end. It stays taken for the least time whatever becomes of this process,
// so that an instance whose clock is a little behind does not find it free after a short job.
func (j job) run(ctx context.Context) error {
	return j.lock.TryDo(ctx, 0, func(ctx context.Context) error {
		return execute(ctx, j.command)
	}, rlock.WithMinHold(j.least))
}

// execute runs a command, which is killed when ctx ends.
func execute(ctx context.Context, command []string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", command[0], err)
	}
	return nil
}
