//go:build unix

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// countUnguarded is CountView without the version: it writes what it believes.
func (s *Store) countUnguarded(ctx context.Context, id int64) (views int64, conflicts int, err error) {
	a, err := s.Article(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	a.Views++
	_, err = s.db.ExecContext(ctx, `UPDATE articles SET views = $1 WHERE id = $2`, a.Views, id)
	return a.Views, 0, err
}

// BenchmarkCount lets 64 readers read one article over HTTP, and tells what each way to
// count the views loses and costs. There is no cache: it is the count that is compared.
func BenchmarkCount(b *testing.B) {
	for _, way := range []struct {
		name         string
		lock, guards bool
	}{
		{name: "nothing"},
		{name: "lock", lock: true},
		{name: "version", guards: true},
		{name: "both", lock: true, guards: true},
	} {
		b.Run(way.name, func(b *testing.B) {
			s := open(b, 1)
			count := s.store.countUnguarded
			if way.guards {
				count = s.store.CountView
			}
			serve := func(ctx context.Context) error {
				_, conflicts, err := count(ctx, 1)
				s.metrics.Conflicts.Add(int64(conflicts))
				return err
			}
			if way.lock {
				unlocked := serve
				serve = func(ctx context.Context) error { return s.locks.NewLock("article:1").Do(ctx, unlocked) }
			}
			compare(b, s, serve)
		})
	}
}

// compare measures one way to serve a request.
func compare(b *testing.B, s *site, serve func(ctx context.Context) error) {
	b.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	var left, failed atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var crowd sync.WaitGroup
	for range 64 {
		crowd.Go(func() {
			for left.Add(-1) >= 0 {
				if !get(b.Context(), client, server.URL) {
					failed.Add(1)
				}
			}
		})
	}
	crowd.Wait()
	elapsed := b.Elapsed()
	b.StopTimer()

	require.Zero(b, failed.Load(), "requests that failed")
	each := float64(b.N) / 100
	b.ReportMetric(float64(b.N-s.views(b))/each, "lost/100req")
	b.ReportMetric(float64(s.metrics.Conflicts.Load())/each, "conflicts/100req")
	b.ReportMetric(float64(b.N)*float64(time.Second)/float64(elapsed), "req/s")
}

// get reports whether a request was answered well.
func get(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}
