package rlock

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/watchdog"
)

// A grant is the message that a ticket was served.
type grant struct {
	owner   string
	attempt uint64
	at      time.Time // on the server's clock
	lease   time.Duration
	run     int
	behind  int
}

// parseGrant reads a message "grant <owner> <attempt> <seconds> <micros> <lease> <run>
// <behind>".
func parseGrant(payload string) (*grant, bool) {
	fields := strings.Fields(payload)
	if len(fields) != 8 || fields[0] != "grant" {
		return nil, false
	}
	var numbers [6]int64
	for i, field := range fields[2:] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil || n < 0 {
			return nil, false
		}
		numbers[i] = n
	}
	return &grant{
		owner:   fields[1],
		attempt: uint64(numbers[0]), //nolint:gosec // not negative
		at:      time.Unix(numbers[1], numbers[2]*1000),
		lease:   time.Duration(numbers[3]) * time.Millisecond,
		run:     int(numbers[4]),
		behind:  int(numbers[5]),
	}, true
}

// accept makes a hold of a grant, or reports false if it cannot be trusted.
func (a *acquisition) accept(g *grant) (outcome, bool) {
	t := a.tenure
	t.take()
	defer t.give()
	now := time.Now()
	since := a.lock.client.earliest(g.at, now)
	if since.IsZero() || watchdog.Since(since, g.lease).Over(now) || t.standing() > 0 || t.spent(g) ||
		t.retired.Load() { // since it was heard: a script may still take the lock from this name
		return outcome{}, false
	}
	got := t.grant(context.WithoutCancel(a.ctx), a.request, 1, since, g.lease)
	return got, !errors.Is(got.err, errRetired)
}

// spent reports whether the tenure got a hold after the ticket of the grant was left: it may
// be that one, which was given back since.
func (t *tenure) spent(g *grant) bool {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	return g.attempt <= t.lastSpent
}

// mindLocked makes this process look when a grant of its may have ended unconfirmed.
func (r *room) mindLocked(lease time.Duration) {
	r.line.minded = time.Now().Add(longestFirst)
	r.heirLocked(lease)
}

// mindLapseLocked makes this process look when the lease of a lock has ended that nobody gives
// back: those who wait may know of a longer one only.
func (r *room) mindLapseLocked(end time.Time) {
	if r.line.waited && r.client.handsOver() {
		r.line.minded = end.Add(longestFirst)
		r.heirLocked(time.Until(end))
	}
}

// heirLocked makes this process look when a lease may have ended.
func (r *room) heirLocked(lease time.Duration) {
	d := lease + heirDelay
	if r.line.heir == nil {
		r.line.heir = time.AfterFunc(d, r.inherit)
	} else {
		r.line.heir.Reset(d)
	}
}

// inherit serves the next ticket if the lock has become free without a release.
func (r *room) inherit() {
	c := r.client
	c.start(nil, func() {
		var got lua.Passed
		sent := time.Now()
		_, f := c.ask(context.Background(), func(ctx context.Context) (err error) {
			sent = time.Now()
			got, err = lua.Pass(ctx, c.rdb, r.passing())
			return err
		})
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case f != nil: // the others look in time
		case got.Status == lua.NotOwner && got.TTL > 0 && time.Now().Add(got.TTL).Before(r.line.minded):
			// Whoever has it came by itself, and is not responsible; or it was served after this
			// process, and is. Those in the queue may look no sooner than after a first lease.
			r.heirLocked(got.TTL)
		case got.Status != lua.Done: // whoever has it is responsible
		case got.Successor == lua.Stranger:
			c.anchored(anchor{sent: sent, server: got.Time})
			r.mindLocked(got.First)
		default:
			r.dueLocked()
		}
	})
}
