// Compare measures the lock beside the floor, spin locks, other lock libraries for Go
// and Redisson, on one server that it starts, and writes what it has measured.
//
//	go run ./compare -out ../results
//
// It takes some minutes; -rounds and -window make it longer and the figures better,
// -only measures a part. Each contestant works in a process of its own, with as many
// clients as the workload has: what a process of its own has for each of them, apart
// from the processor's caches, are the connections and the identity, and two
// processors would be busy with switching between 128 processes. Rounds are
// interleaved: each one goes through all contestants before the next one begins.
//
// README.md in that directory has the tables and says which goals are met,
// figures.json has all figures, the pictures are drawn from these. With -redraw they
// are made from figures.json again, without measuring.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/go-rlock/rlock/internal/redistest"
)

// workerCommand is how this program calls itself for a job.
const workerCommand = "worker"

func main() {
	if len(os.Args) == 2 && os.Args[1] == workerCommand {
		exit(work(os.Stdin, os.Stdout))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, parse())
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	length
	out, redisson string
	only          *regexp.Regexp
	redraw        bool
}

func parse() options {
	var o options
	only := flag.String("only", "", "measure only rows whose name matches the regular `expression`")
	flag.IntVar(&o.rounds, "rounds", 2, "how often each contestant is measured in a row")
	flag.DurationVar(&o.window, "window", 500*time.Millisecond, "for how long each time")
	flag.DurationVar(&o.idle, "idle", period, "for how long idle waiters are watched")
	flag.StringVar(&o.out, "out", "", "`directory` that the results are written to; none: only standard output")
	flag.StringVar(&o.redisson, "redisson", "../redisson", "`directory` of Redisson's worker")
	flag.BoolVar(&o.redraw, "redraw", false, "make tables and pictures from the figures that are there")
	flag.Parse()
	o.only = regexp.MustCompile(*only)
	return o
}

func run(ctx context.Context, o options) error {
	if o.redraw {
		r, err := read(o.out)
		if err != nil {
			return err
		}
		return r.write(o.out)
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if o.out == "" {
		return r.markdown(os.Stdout)
	}
	return errors.Join(r.write(o.out), r.markdown(os.Stdout))
}

// measure measures everything.
func measure(ctx context.Context, o options) (results, error) {
	contestants, err := gophers()
	if err != nil {
		return results{}, err
	}
	var r results
	java, err := redissons(ctx, filepath.FromSlash(o.redisson))
	if err != nil {
		r.Missing = fmt.Sprintf("Redisson is left out: %v.", err)
		fmt.Fprintln(os.Stderr, r.Missing)
	}
	contestants = append(contestants, java...)
	defer func() {
		for _, c := range contestants {
			c.host.stop()
		}
	}()
	server, err := redistest.Launch("--maxclients", "20000") //nolint:contextcheck // it runs until it is stopped
	if err != nil {
		return results{}, err
	}
	defer server.Stop()

	began := time.Now()
	c := contest{server: server, contestants: contestants, log: log.New(os.Stderr, "", 0)}
	for _, row := range rows(o.length) {
		if !o.only.MatchString(row.name) {
			continue
		}
		figures, err := c.run(ctx, row)
		if err != nil {
			return results{}, err
		}
		r.Figures = append(r.Figures, figures...)
	}
	r.Took = time.Since(began).Round(time.Second).String()
	r.Machine, err = describe(ctx, server)
	return r, err
}
