//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A visit is one request and what came of it.
type visit struct {
	begin, end time.Time
	err        error
}

func (v visit) took() time.Duration { return v.end.Sub(v.begin) }

// A crowd is many readers who read, think for a moment and read again.
type crowd struct {
	url      string
	articles int
	client   *http.Client
	stop     context.CancelFunc
	readers  sync.WaitGroup
	mu       sync.Mutex
	visits   []visit // in the order in which they ended
}

const (
	readers = 200
	// think is how long a reader thinks at most.
	think = 2 * time.Second
)

// gather lets a crowd loose on a site until the test is over or calls leave.
func gather(t *testing.T, s *site) *crowd {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	transport := &http.Transport{MaxIdleConnsPerHost: readers}
	c := &crowd{url: s.url, articles: s.articles, client: &http.Client{Transport: transport}, stop: stop}
	for range readers {
		c.readers.Go(func() { c.read(ctx) })
	}
	t.Cleanup(func() {
		c.leave()
		transport.CloseIdleConnections()
	})
	return c
}

// read reads one article after the other. The last one is read to its end, too.
func (c *crowd) read(ctx context.Context) {
	for ctx.Err() == nil {
		v := visit{begin: time.Now()}
		v.err = c.visit(context.WithoutCancel(ctx), 1+rand.IntN(c.articles))
		v.end = time.Now()
		c.mu.Lock()
		c.visits = append(c.visits, v)
		c.mu.Unlock()
		select {
		case <-time.After(rand.N(think)):
		case <-ctx.Done():
		}
	}
}

func (c *crowd) visit(ctx context.Context, id int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/articles/%d", c.url, id), http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	var a Article
	if err := json.Unmarshal(body, &a); err != nil {
		return err
	}
	if a.ID != int64(id) || a.Text != text(id) || a.Views < 1 {
		return fmt.Errorf("article %d is %+v", id, a)
	}
	return nil
}

// leave sends the crowd home and returns when all have been answered.
func (c *crowd) leave() {
	c.stop()
	c.readers.Wait()
}

// answered returns how many requests were answered, all of which must have been.
func (c *crowd) answered(t *testing.T) int {
	t.Helper()
	c.leave()
	for _, v := range c.visits {
		if !assert.NoError(t, v.err, "every request is answered") {
			break
		}
	}
	return len(c.visits)
}

// during returns, in order, how long the requests took that were under way between two
// moments.
func (c *crowd) during(from, to time.Time) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var took []time.Duration
	for _, v := range c.visits {
		if v.end.After(from) && v.begin.Before(to) {
			took = append(took, v.took())
		}
	}
	slices.Sort(took)
	return took
}

// percentile returns the time below which p percent of the times are.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)-1)*p/100]
}
