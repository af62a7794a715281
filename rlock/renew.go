package rlock

import (
	"context"
	"time"

	"github.com/go-rlock/rlock/lua"
	"github.com/go-rlock/rlock/watchdog"
)

// renewBatch is the number of locks that one script renews.
const renewBatch = 100

// renew is what the watchdog does with a batch: it extends the leases of holds that
// it keeps, and looks whether the others are still there.
func (c *Client) renew(ctx context.Context, tenures []*tenure) error {
	sent := time.Now()
	renewals := make([]lua.Renewal, 0, len(tenures))
	watches := make([]*watchdog.Watch[*tenure], 0, len(tenures))
	for _, t := range tenures {
		t.room.mu.Lock()
		watches = append(watches, t.watch)
		renewals = append(renewals, lua.Renewal{Key: t.room.names.lock, Owner: t.field, Lease: t.dueLocked(sent)})
		t.asked = true
		t.room.mu.Unlock()
	}
	p := patience{ctx: ctx, limit: sent.Add(min(scriptLimit, max(c.watchdogTimeout/3, c.gracePeriod)))}
	var verdicts []lua.Verdict
	_, err := c.apart(nil, p, func(ctx context.Context) (err error) {
		verdicts, err = lua.Renew(ctx, c.rdb, renewals)
		return err
	})
	if err != nil {
		err = classify(err)
		c.log.Warn("rlock: locks could not be renewed; trying again", "locks", len(renewals), "error", err)
		for _, t := range tenures {
			t.room.mu.Lock()
			t.asked, t.failed = false, err
			t.room.mu.Unlock()
		}
		return err
	}
	for i, t := range tenures {
		t.renewed(watches[i], sent, renewals[i].Lease, verdicts[i])
	}
	return nil
}
