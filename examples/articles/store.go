package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// An Article is what a reader gets.
type Article struct {
	ID    int64  `json:"id"`
	Title string `json:"title"`
	Text  string `json:"text"`
	// Views is how often it was read. It comes from the database, never from the cache.
	Views int64 `json:"views"`
}

// errNoArticle means that there is no article of that number.
var errNoArticle = errors.New("no such article")

const schema = `CREATE TABLE IF NOT EXISTS articles (
	id      BIGINT PRIMARY KEY,
	title   TEXT   NOT NULL,
	text    TEXT   NOT NULL,
	views   BIGINT NOT NULL DEFAULT 0,
	version BIGINT NOT NULL DEFAULT 0
)`

// A Store keeps the articles. What it promises depends on no lock.
type Store struct{ db *sql.DB }

// OpenStore opens the database that source names, a postgres:// URL or else a file of
// SQLite's, and makes the table if there is none.
func OpenStore(ctx context.Context, source string) (*Store, error) {
	db, err := openDatabase(source)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("make the table of articles: %w", err), db.Close())
	}
	return &Store{db: db}, nil
}

func openDatabase(source string) (*sql.DB, error) {
	if strings.HasPrefix(source, "postgres://") {
		return sql.Open("pgx", source)
	}
	db, err := sql.Open("sqlite", "file:"+source+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	// SQLite lets one connection write at a time. Queueing for one of ours is cheaper
	// and fairer than its busy timeout, which polls.
	db.SetMaxOpenConns(1)
	return db, nil
}

// Close closes the database.
func (s *Store) Close() error { return s.db.Close() }

// Add stores an article that nobody has read, unless there is one of its number.
func (s *Store) Add(ctx context.Context, a Article) error {
	_, err := s.db.ExecContext(ctx,
		`INSERT INTO articles (id, title, text) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, a.ID, a.Title, a.Text)
	return err
}

// Article returns an article, with the views that it had a moment ago.
func (s *Store) Article(ctx context.Context, id int64) (Article, error) {
	a := Article{ID: id}
	err := s.db.QueryRowContext(ctx, `SELECT title, text, views FROM articles WHERE id = $1`, id).
		Scan(&a.Title, &a.Text, &a.Views)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoArticle
	}
	return a, err
}

// CountView adds one view to an article. It returns how many there are now, and how
// often somebody else was faster: it writes only if the version is still the one that
// it read, else it reads again. So no view is lost, whoever has or lacks a lock.
func (s *Store) CountView(ctx context.Context, id int64) (views int64, conflicts int, err error) {
	for {
		var version int64
		err := s.db.QueryRowContext(ctx, `SELECT views, version FROM articles WHERE id = $1`, id).Scan(&views, &version)
		if errors.Is(err, sql.ErrNoRows) {
			return 0, conflicts, errNoArticle
		}
		if err != nil {
			return 0, conflicts, err
		}
		views++
		result, err := s.db.ExecContext(ctx,
			`UPDATE articles SET views = $1, version = version + 1 WHERE id = $2 AND version = $3`, views, id, version)
		if err != nil {
			return 0, conflicts, err
		}
		written, err := result.RowsAffected()
		if err != nil || written == 1 {
			return views, conflicts, err
		}
		conflicts++
		if err := pause(ctx, conflicts); err != nil {
			return 0, conflicts, err
		}
	}
}

// pause waits for a random time that grows with the number of conflicts, so that those
// who met do not meet again.
func pause(ctx context.Context, conflicts int) error {
	limit := min(time.Duration(conflicts)*time.Millisecond, 20*time.Millisecond)
	select {
	case <-time.After(rand.N(limit)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
