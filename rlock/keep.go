package rlock

import (
	"context"
	"time"

	"github.com/go-rlock/rlock/lua"
)

// keptFor returns for how long the lock shall stay taken from now on when the tenure's
// holds have ended; 0 or less: not at all.
func (t *tenure) keptFor() time.Duration {
	t.room.mu.Lock()
	defer t.room.mu.Unlock()
	if t.keptUntil.IsZero() {
		return 0
	}
	return time.Until(t.keptUntil).Truncate(minDuration)
}

// keep gives back a lock of which the tenure has the last hold, but leaves it taken
// for the rest of its minimum. The caller has the tenure's turn. Uncertain says that a
// copy of an earlier release may have run.
//
// From then on the lock belongs to an owner that nobody is. So the tenure's owner must wait
// like everybody else, and nothing that is still under way in its name, a renewal say,
// touches what is kept.
func (t *tenure) keep(ctx context.Context, uncertain *bool) (lua.Status, error) {
	t.room.mu.Lock()
	until := t.keptUntil
	t.room.mu.Unlock()
	status, err := t.publish(ctx, uncertain, t.keeping())
	if err == nil && status == lua.Done {
		t.room.mu.Lock()
		t.room.untilLocked(until.Add(minDuration)) // the message may not be heard
		t.room.mu.Unlock()
	}
	return status, err
}

// keeping returns the script of keep.
func (t *tenure) keeping() func(context.Context) (lua.Released, error) {
	c, names := t.client, t.room.names
	keeper := fieldOf(c.id, NewOwner(), 0)
	return func(ctx context.Context) (lua.Released, error) {
		rest := max(minDuration, t.keptFor())
		return lua.Keep(ctx, c.rdb, names.lock, t.field, keeper, rest, names.channel)
	}
}
