//go:build unix

package main

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/internal/worker"
)

func TestMain(m *testing.M) {
	worker.Main()
	goleak.VerifyTestMain(m)
}

// A site is the program under test with its Redis.
type site struct {
	*Reader
	url      string
	redis    *redistest.Server
	articles int
}

const (
	// wait is long beside what anything takes that does not wait.
	wait = 3 * time.Second
	// ttl is shorter than the program's, so that the cache expires while a test looks.
	ttl = time.Second
)

// open starts a site with so many articles. It is on SQLite, or on the empty database
// that the environment variable ARTICLES_TEST_DB names.
func open(tb testing.TB, articles int) *site {
	tb.Helper()
	database := os.Getenv("ARTICLES_TEST_DB")
	if database == "" {
		database = filepath.Join(tb.TempDir(), "articles.db")
	}
	redis := redistest.Start(tb)
	reader, err := NewReader(tb.Context(), config{
		database: database, redis: redis.Addr(), wait: wait, ttl: ttl, log: slog.New(slog.DiscardHandler),
	})
	require.NoError(tb, err)
	_, err = reader.store.db.ExecContext(tb.Context(), "DELETE FROM articles")
	require.NoError(tb, err)
	for id := 1; id <= articles; id++ {
		require.NoError(tb, reader.store.Add(tb.Context(), Article{ID: int64(id), Title: "An article", Text: text(id)}))
	}
	server := httptest.NewServer(reader.Handler())
	tb.Cleanup(func() {
		server.Close()
		assert.NoError(tb, reader.Close())
	})
	return &site{Reader: reader, url: server.URL, redis: redis, articles: articles}
}

func text(id int) string { return fmt.Sprintf("the text of article %d", id) }

// views returns how many views there are in the database.
func (s *site) views(tb testing.TB) (views int) {
	tb.Helper()
	row := s.store.db.QueryRowContext(tb.Context(), "SELECT SUM(views) FROM articles")
	require.NoError(tb, row.Scan(&views))
	return views
}

// accounts requires that the database and the metrics have each request, once.
func (s *site) accounts(t *testing.T, answered int) {
	t.Helper()
	assert.Equal(t, answered, s.views(t), "views in the database")
	m := &s.metrics
	assert.EqualValues(t, answered, m.Hits.Load()+m.Misses.Load()+m.Fallbacks.Load(), "hits, misses and fallbacks")
	t.Logf("%d requests: %d hits, %d misses, %d fallbacks; %d conflicts",
		answered, m.Hits.Load(), m.Misses.Load(), m.Fallbacks.Load(), m.Conflicts.Load())
}

// fills requires that the cache was filled at most once per article and expiry since
// the server, which was empty then, began to serve.
func (s *site) fills(t *testing.T, since time.Time) {
	t.Helper()
	fills := s.redis.CommandStats(t)["set"].Calls
	expiries := int64(time.Since(since) / ttl)
	assert.Positive(t, fills)
	assert.LessOrEqual(t, fills, int64(s.articles)*(1+expiries), "fills of %d articles, %d expiries", s.articles, expiries)
}

// eventually waits for what must come about.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	require.Eventually(t, done, 30*time.Second, 2*time.Millisecond, what)
}
