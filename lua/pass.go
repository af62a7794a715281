package lua

import (
	"context"
	_ "embed" // The scripts.
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed pass.lua
	passSource string
	//go:embed hand_over.lua
	handOverSource string

	passScript     = rueidis.NewLuaScript(shorterSource + followerSource + passSource)
	handOverScript = rueidis.NewLuaScript(shorterSource + handOverSource)
)

// Successor says who has a lock after [Pass].
type Successor int64

// The numbers are those that the script returns.
const (
	// Nobody has it: it was published that the lock is free.
	Nobody Successor = 0
	// Neighbour has it: the next waiter of the same process.
	Neighbour Successor = 1
	// Stranger has it: the owner of a ticket, who was told.
	Stranger Successor = 2
)

// Passing is how a lock is to be passed on by [Pass].
type Passing struct {
	// Key is the lock, Queue the list of its tickets, Tail the end of the names of the
	// channels on which all listen.
	Key, Queue, Tail string
	// Owner is who gives the lock away. Empty: nobody does, and the queue is served if
	// the lease has ended.
	Owner string
	// Run counts the hand-overs in a row, Most is their limit while somebody waits
	// who does not know about the queue.
	Run, Most int
	// Behind is how many tickets at the head may belong to processes that expect a
	// longer lease than a first one, and must be told when to look; -1 for all.
	Behind int
	// Neighbour is the next waiter of the same process, or empty, with its Lease and
	// the Ticket that it leaves if a stranger is served first, or empty.
	Neighbour string
	Lease     time.Duration
	Ticket    string
	// Ahead lets the Neighbour come before the queue.
	Ahead bool
	// Shorter says that the Neighbour's lease may end before the present one, so that those
	// who wait have to be told.
	Shorter bool
	// Stale is a ticket that is to leave the queue, or empty; AllStale means that every
	// ticket of the owner's client is passed over.
	Stale string
}

// AllStale stands for all tickets of a client, see [Passing].
const AllStale = "*"

// Passed is what [Pass] found and did.
type Passed struct {
	Released

	// Successor is who has the lock now, if Status is Done.
	Successor Successor
	// First is the lease of a stranger until it confirms.
	First time.Duration
	// Time is the server's time, if a stranger was served and the server tells it.
	Time time.Time
}

// Pass gives the lock away if its owner has it, to whoever is next.
func Pass(ctx context.Context, client rueidis.Client, p Passing) (Passed, error) {
	args := []string{p.Owner, p.Tail, strconv.Itoa(p.Run), strconv.Itoa(p.Most), strconv.Itoa(p.Behind)}
	if p.Neighbour != "" || p.Stale != "" {
		args = append(args, p.Neighbour, milliseconds(p.Lease), p.Ticket, p.Stale, flag(p.Ahead), flag(p.Shorter))
	}
	var values [5]int64
	if err := integers(passScript.Exec(ctx, client, []string{p.Key, p.Queue}, args), values[:]); err != nil {
		return Passed{}, err
	}
	passed := Passed{Released: Released{Status: Status(values[0])}, Successor: Successor(values[1])}
	switch {
	case passed.Status != Done:
		passed.TTL = duration(values[2])
	case passed.Successor == Nobody:
		passed.Unheard = values[2] < 0
	case passed.Successor == Neighbour:
		passed.Before = values[2] == 1
	case passed.Successor == Stranger:
		passed.First, passed.Time = duration(values[2]), clock(values[3], values[4])
	}
	return passed, nil
}

// HandOver gives the lock at key to another owner of the same client, if owner has it. Told,
// unless it is zero, is who learns of a lease that ends before the present one.
func HandOver(ctx context.Context, client rueidis.Client, key, owner, next string, lease time.Duration, told Told) (Released, error) {
	status, value, err := pair(handOverScript.Exec(ctx, client,
		[]string{key}, []string{owner, next, milliseconds(lease), told.Channel, told.Beacon}))
	if err != nil || status == Done {
		return Released{Status: status, Before: value == 1}, err
	}
	return Released{Status: status, TTL: duration(value)}, nil
}
