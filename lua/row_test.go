package lua_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/lua"
)

// A row is one line of a script's table: what lies at the key, what the script
// answers, and what lies there afterwards. What is left out of it is not there.
type row struct {
	name    string
	before  content
	tickets content  // in the queue
	attend  []string // the channels on which somebody listens, once for each time they are named
	run     func(ctx context.Context, w world) (any, error)
	reply   any
	err     string // instead of the reply
	after   content
	queued  content  // what is left of the tickets
	says    []string // what it publishes, both times together, each message behind its channel
	again   any      // the reply when it runs a second time, after which the state is the same
	twice   content  // but for the queue, if this is given
}

// brief is how long a row may take. One that took longer says nothing about the shortest
// leases, which may have ended.
const brief = time.Second

func check(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		for name, connect := range worlds {
			t.Run(r.name+name, func(t *testing.T) {
				for range 10 {
					began := time.Now()
					s := r.play(t, connect(t))
					if time.Since(began) < brief {
						r.compare(t, s)
						return
					}
				}
				t.Fatal("the machine is too slow for leases of seconds")
			})
		}
	}
}

// A scene is what was seen when a row was played.
type scene struct {
	replies []any
	errs    []error
	locks   []content
	queues  []content
	heard   []string
}

// play runs the row's script twice.
func (r row) play(t *testing.T, w world) scene {
	t.Helper()
	e := w.listen(t)
	w.attend(t, r.attend...)
	w.put(t, key, r.before)
	w.put(t, queue, r.tickets)
	var s scene
	for range 2 {
		w.do(t, "SCRIPT", "FLUSH") // the server need not know the script
		got, err := r.run(t.Context(), w)
		s.replies, s.errs = append(s.replies, got), append(s.errs, err)
		s.locks, s.queues = append(s.locks, w.get(t, key)), append(s.queues, w.get(t, queue))
	}
	s.heard = e.heard(t)
	return s
}

// compare checks what was seen against the row.
func (r row) compare(t *testing.T, s scene) {
	t.Helper()
	for i, want := range []any{r.reply, r.again} {
		if r.err != "" {
			require.ErrorContains(t, s.errs[i], r.err)
			require.Zero(t, s.replies[i])
		} else {
			require.NoError(t, s.errs[i])
			require.Equal(t, want, settled(s.replies[i], want))
		}
		require.Equal(t, r.after, s.locks[i].settled(r.after))
		queued := r.queued.orNothing()
		if i == 1 && r.twice.kind != "" {
			queued = r.twice
		}
		require.Equal(t, queued, s.queues[i].settled(queued))
	}
	assert.Equal(t, r.says, timeless(s.heard, s.replies[0]))
}

// clock stands in the tables for the server's time.
var clock = time.Unix(1, 0)

// timeless returns the messages with an @ in the place of the time that the reply tells.
func timeless(messages []string, reply any) []string {
	passed, ok := reply.(lua.Passed)
	if !ok {
		return messages
	}
	told := fmt.Sprintf(" %d %d ", passed.Time.Unix(), passed.Time.Nanosecond()/1000)
	for i, m := range messages {
		messages[i] = strings.Replace(m, told, " @ ", 1)
	}
	return messages
}

// settled returns the reply with the times that the wanted one has, if they agree but
// for the time that has passed.
func settled(got, want any) any {
	switch got := got.(type) {
	case lua.Acquired:
		if want, ok := want.(lua.Acquired); ok {
			got.TTL = rounded(got.TTL, want.TTL)
		}
		return got
	case lua.Enqueued:
		if want, ok := want.(lua.Enqueued); ok {
			got.TTL = rounded(got.TTL, want.TTL)
			got.Time = recent(got.Time, want.Time)
		}
		return got
	case lua.Released:
		if want, ok := want.(lua.Released); ok {
			got.TTL = rounded(got.TTL, want.TTL)
		}
		return got
	case lua.Passed:
		if want, ok := want.(lua.Passed); ok {
			got.TTL = rounded(got.TTL, want.TTL)
			got.Time = recent(got.Time, want.Time)
		}
		return got
	case lua.State:
		if want, ok := want.(lua.State); ok {
			got.TTL = rounded(got.TTL, want.TTL)
			got.Fields = maps.Clone(got.Fields)
		}
		return got
	}
	return got
}

// recent returns clock if that is wanted and got was the time a moment ago.
func recent(got, want time.Time) time.Time {
	if want.Equal(clock) && time.Since(got).Abs() < slack {
		return want
	}
	return got
}
