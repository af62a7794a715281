// Command articles serves articles and counts how often each is read. It shows how a
// cache in Redis, a lock and a database go together so that none of them has to be
// trusted with more than it can do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var c config
	flag.StringVar(&c.listen, "listen", "127.0.0.1:8080", "the address to serve on")
	flag.StringVar(&c.database, "db", "articles.db", "a file of SQLite's, or a postgres:// URL")
	flag.StringVar(&c.redis, "redis", "127.0.0.1:6379", "the address of Redis")
	flag.DurationVar(&c.wait, "wait", time.Second, "how long a reader waits for the lock of an article")
	flag.DurationVar(&c.ttl, "ttl", 5*time.Second, "how long an article stays in the cache")
	flag.Parse()
	c.log = slog.Default()

	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type config struct {
	listen, database, redis string
	wait, ttl               time.Duration
	log                     *slog.Logger
}

// run serves until the process is told to end.
func run(c config) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	reader, err := NewReader(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	return serve(ctx, c, reader)
}

// serve serves until ctx ends and the requests that were under way are answered.
func serve(ctx context.Context, c config, reader *Reader) error {
	for id := range int64(10) {
		a := Article{ID: id + 1, Title: fmt.Sprintf("Article %d", id+1), Text: "Reading this counts a view."}
		if err := reader.store.Add(ctx, a); err != nil {
			return err
		}
	}

	server := &http.Server{Addr: c.listen, Handler: reader.Handler(), ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	c.log.InfoContext(ctx, "serving", "articles", "http://"+c.listen+"/articles/1", "metrics", "http://"+c.listen+"/metrics")
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return server.Shutdown(context.WithoutCancel(ctx))
	}
}
