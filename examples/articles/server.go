package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
)

// Metrics count what became of the readings: each is a hit, a miss or a fallback.
type Metrics struct {
	Hits      atomic.Int64 // answered from the cache
	Misses    atomic.Int64 // answered from the database, under the lock, to fill the cache
	Fallbacks atomic.Int64 // answered from the database, without the lock or without Redis
	Conflicts atomic.Int64 // attempts to count a view that had to be repeated
}

// ServeHTTP writes the metrics in the text format of Prometheus.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	for _, metric := range []struct {
		name  string
		value *atomic.Int64
	}{
		{"hits", &m.Hits},
		{"misses", &m.Misses},
		{"fallbacks", &m.Fallbacks},
		{"conflicts", &m.Conflicts},
	} {
		name := "articles_" + metric.name + "_total"
		_, _ = fmt.Fprintf(w, "# TYPE %s counter\n%s %d\n", name, name, metric.value.Load()) // a client that left
	}
}

// Handler returns what the server serves.
func (r *Reader) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /articles/{id}", r.serveArticle)
	mux.Handle("GET /metrics", &r.metrics)
	return mux
}

func (r *Reader) serveArticle(w http.ResponseWriter, req *http.Request) {
	id, err := strconv.ParseInt(req.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "an article has a number", http.StatusBadRequest)
		return
	}
	a, err := r.Read(req.Context(), id)
	switch {
	case errors.Is(err, errNoArticle):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		r.log.ErrorContext(req.Context(), "an article was not read", "id", id, "error", err)
		http.Error(w, "the article cannot be read", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(a) // a client that left
	}
}
