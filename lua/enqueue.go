package lua

import (
	"context"
	_ "embed" // The scripts.
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed enqueue.lua
	enqueueSource string
	//go:embed withdraw.lua
	withdrawSource string
	//go:embed follower.lua
	followerSource string // what scripts begin with that use it

	enqueueScript  = rueidis.NewLuaScript(followerSource + enqueueSource)
	withdrawScript = rueidis.NewLuaScript(followerSource + withdrawSource)
)

// Enqueuing is how a lock is to be acquired or waited for by [Enqueue].
type Enqueuing struct {
	// Key is the lock, Queue the list of its tickets.
	Key, Queue string
	// Owner wants its first hold, for Lease.
	Owner string
	Lease time.Duration
	// Ticket is what to leave, in the place of the Earlier one if that is not empty
	// and still there.
	Ticket, Earlier string
	// Fresh says that the server was not told of the owner before, so that it cannot
	// have the lock.
	Fresh bool
	// Clock asks for the server's time.
	Clock bool
}

// Enqueued is what [Enqueue] found and did.
type Enqueued struct {
	Acquired

	// Time is the server's time, if the ticket was left and it was asked for.
	Time time.Time
}

// Enqueue makes an owner the holder of a lock, or leaves its ticket in the queue.
func Enqueue(ctx context.Context, client rueidis.Client, e Enqueuing) (Enqueued, error) {
	var values [4]int64
	if err := integers(enqueueScript.Exec(ctx, client, []string{e.Key, e.Queue}, []string{
		e.Owner, milliseconds(e.Lease), e.Ticket, e.Earlier, flag(e.Fresh), flag(e.Clock),
	}), values[:]); err != nil {
		return Enqueued{}, err
	}
	if Status(values[0]) == Done {
		return Enqueued{Acquired: Acquired{Status: Done, Found: int(values[1])}}, nil
	}
	return Enqueued{
		Acquired: Acquired{Status: Status(values[0]), TTL: duration(values[1])},
		Time:     clock(values[2], values[3]),
	}, nil
}

// Ticket returns the text of a ticket.
func Ticket(owner string, attempt uint64, lease time.Duration) string {
	return owner + " " + strconv.FormatUint(attempt, 10) + " " + milliseconds(lease)
}

// Withdraw takes a ticket out of a lock's queue and reports whether it was served
// before, so that its owner has the lock.
func Withdraw(ctx context.Context, client rueidis.Client, key, queue, owner, ticket string) (served bool, err error) {
	status, _, err := pair(withdrawScript.Exec(ctx, client, []string{key, queue}, []string{owner, ticket}))
	return status == Done, err
}
