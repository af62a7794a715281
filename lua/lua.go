package lua

import (
	"context"
	_ "embed" // The scripts.
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// Status is what a script found at a lock's name.
type Status int64

// The numbers are those that the scripts return.
const (
	// NotOwner means that the owner has no hold on the lock.
	NotOwner Status = 0
	// Done means that the owner had or got the lock and the script did its work.
	Done Status = 1
	// Gone means that an owner which wanted one more hold has none any more.
	Gone Status = 2
	// OtherKind means that the owner's field is part of a read-write lock.
	OtherKind Status = 3
	// Queued means that processes have left tickets for the lock.
	Queued Status = 4
)

// Free is the time to live that a script reports for a lock that nobody has.
const Free = -2 * time.Millisecond

// Forever is the time to live that a script reports for a lock that never expires.
const Forever = -1 * time.Millisecond

// milliseconds returns d in the unit of the wire, rounded up: no lease is shorter
// than was asked for, nor 0, with which it would end at once. It is the only place
// where a duration becomes a number.
func milliseconds(d time.Duration) string {
	ms := d.Milliseconds()
	if d > duration(ms) {
		ms++
	}
	return strconv.FormatInt(ms, 10)
}

// duration returns the wire's number of milliseconds as a duration.
func duration(ms int64) time.Duration {
	return time.Duration(ms) * time.Millisecond
}

// integers decodes a reply of as many integers as there is room for.
func integers(reply rueidis.RedisResult, numbers []int64) error {
	values, err := reply.ToArray()
	if err != nil {
		return err
	}
	if len(values) != len(numbers) {
		return fmt.Errorf("rlock: script returned %d values, want %d", len(values), len(numbers))
	}
	for i, value := range values {
		if numbers[i], err = value.ToInt64(); err != nil {
			return fmt.Errorf("rlock: script returned a value that is no integer: %w", err)
		}
	}
	return nil
}

// pair decodes a reply of the form {status, value}.
func pair(reply rueidis.RedisResult) (Status, int64, error) {
	var values [2]int64
	if err := integers(reply, values[:]); err != nil {
		return 0, 0, err
	}
	return Status(values[0]), values[1], nil
}

var (
	//go:embed acquire.lua
	acquireSource string
	//go:embed release.lua
	releaseSource string
	//go:embed release_alone.lua
	releaseAloneSource string
	//go:embed keep.lua
	keepSource string
	//go:embed reduce.lua
	reduceSource string
	//go:embed renew.lua
	renewSource string
	//go:embed force_release.lua
	forceReleaseSource string
	//go:embed inspect.lua
	inspectSource string
	//go:embed enqueue.lua
	enqueueSource string
	//go:embed pass.lua
	passSource string
	//go:embed hand_over.lua
	handOverSource string
	//go:embed withdraw.lua
	withdrawSource string

	acquireScript      = rueidis.NewLuaScript(acquireSource)
	releaseScript      = rueidis.NewLuaScript(releaseSource)
	releaseAloneScript = rueidis.NewLuaScript(releaseAloneSource)
	keepScript         = rueidis.NewLuaScript(keepSource)
	reduceScript       = rueidis.NewLuaScript(reduceSource)
	renewScript        = rueidis.NewLuaScript(renewSource)
	forceReleaseScript = rueidis.NewLuaScript(forceReleaseSource)
	inspectScript      = rueidis.NewLuaScript(inspectSource)
	enqueueScript      = rueidis.NewLuaScript(enqueueSource)
	passScript         = rueidis.NewLuaScript(passSource)
	handOverScript     = rueidis.NewLuaScript(handOverSource)
	withdrawScript     = rueidis.NewLuaScript(withdrawSource)
)

// Acquired is what [Acquire] found and did.
type Acquired struct {
	// Status is Done, NotOwner (somebody else has the lock), Gone or OtherKind.
	Status Status
	// Found is the number of holds that the owner had before, if Status is Done.
	Found int
	// TTL is the lock's remaining time to live, Free or Forever, if Status is
	// NotOwner or Gone.
	TTL time.Duration
}

// Acquire makes owner the holder of the lock at key, or sets the number of its
// holds. Holds is absolute: 1 for the first hold, 2 for the first re-entry. Only
// the first hold can be granted on a free lock. The lock's time to live becomes at
// least lease.
func Acquire(ctx context.Context, client rueidis.Client, key, owner string, holds int, lease time.Duration) (Acquired, error) {
	status, value, err := pair(acquireScript.Exec(ctx, client,
		[]string{key}, []string{owner, strconv.Itoa(holds), milliseconds(lease)}))
	if err != nil {
		return Acquired{}, err
	}
	if status == Done {
		return Acquired{Status: status, Found: int(value)}, nil
	}
	return Acquired{Status: status, TTL: duration(value)}, nil
}

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

// clock returns the server's time, or the zero time if the script did not get it.
func clock(seconds, micros int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, micros*1000)
}

// flag returns a truth value as scripts read it.
func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// Ticket returns the text of a ticket.
func Ticket(owner string, attempt uint64, lease time.Duration) string {
	return owner + " " + strconv.FormatUint(attempt, 10) + " " + milliseconds(lease)
}

// Released is what [Release], [Keep], [Reduce] or [ForceRelease] found and did.
type Released struct {
	// Status is Done, NotOwner, OtherKind, or, from ReleaseAlone, Queued.
	Status Status
	// TTL is the remaining time to live of somebody else's lock, Free or Forever,
	// if Status is NotOwner.
	TTL time.Duration
	// Unheard reports that the lock was released, but that the server refused to
	// publish it: waiters notice only when the lease they know of ends.
	Unheard bool
}

// Release deletes the lock at key if owner has it, and publishes that on channel.
func Release(ctx context.Context, client rueidis.Client, key, owner, channel string) (Released, error) {
	return released(releaseScript.Exec(ctx, client, []string{key}, []string{owner, channel}))
}

// ReleaseAlone is Release if there is no ticket in the queue, else it changes nothing.
func ReleaseAlone(ctx context.Context, client rueidis.Client, key, queue, owner, channel string) (Released, error) {
	return released(releaseAloneScript.Exec(ctx, client, []string{key, queue}, []string{owner, channel}))
}

// Keep gives the lock at key back if owner has it, but leaves it taken for rest, in the
// name of keeper, and publishes that on channel. The lock's time to live never becomes
// longer.
func Keep(ctx context.Context, client rueidis.Client, key, owner, keeper string, rest time.Duration, channel string) (Released, error) {
	return released(keepScript.Exec(ctx, client, []string{key}, []string{owner, keeper, milliseconds(rest), channel}))
}

// Reduce sets the number of the owner's holds on the lock at key, at least 1, and
// the lock's time to live. It never creates a lock.
func Reduce(ctx context.Context, client rueidis.Client, key, owner string, holds int, lease time.Duration) (Released, error) {
	status, value, err := pair(reduceScript.Exec(ctx, client,
		[]string{key}, []string{owner, strconv.Itoa(holds), milliseconds(lease)}))
	if err != nil || status == Done {
		return Released{Status: status}, err
	}
	return Released{Status: status, TTL: duration(value)}, nil
}

// ForceRelease deletes the lock at key, whoever has it, and publishes that on
// channel. Status is NotOwner if there was none. Something that is not a hash is not
// deleted: that is an error.
func ForceRelease(ctx context.Context, client rueidis.Client, key, channel string) (Released, error) {
	return released(forceReleaseScript.Exec(ctx, client, []string{key}, []string{channel}))
}

func released(reply rueidis.RedisResult) (Released, error) {
	status, value, err := pair(reply)
	if err != nil {
		return Released{}, err
	}
	if status == Done {
		return Released{Status: status, Unheard: value < 0}, nil
	}
	return Released{Status: status, TTL: duration(value)}, nil
}

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
	// Key is the lock, Queue the list of its tickets, Tail the end of the names of its
	// channels.
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
	// Neighbour is the next waiter of the same process, or empty. Ticket is one of this
	// process, for the end of the queue if a stranger is served, or empty. Lease is that
	// of the Neighbour, or of whoever has the Ticket.
	Neighbour string
	Lease     time.Duration
	Ticket    string
	// Ahead lets the Neighbour come before the queue.
	Ahead bool
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
	if p.Neighbour != "" || p.Ticket != "" || p.Stale != "" {
		args = append(args, p.Neighbour, milliseconds(p.Lease), p.Ticket, p.Stale, flag(p.Ahead))
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
	case passed.Successor == Stranger:
		passed.First, passed.Time = duration(values[2]), clock(values[3], values[4])
	}
	return passed, nil
}

// HandOver gives the lock at key to another owner of the same client, if owner has it.
func HandOver(ctx context.Context, client rueidis.Client, key, owner, next string, lease time.Duration) (Released, error) {
	status, value, err := pair(handOverScript.Exec(ctx, client,
		[]string{key}, []string{owner, next, milliseconds(lease)}))
	if err != nil || status == Done {
		return Released{Status: status}, err
	}
	return Released{Status: status, TTL: duration(value)}, nil
}

// Withdraw takes a ticket out of a lock's queue and reports whether it was served
// before, so that its owner has the lock.
func Withdraw(ctx context.Context, client rueidis.Client, key, queue, tail, owner, ticket string) (served bool, err error) {
	status, _, err := pair(withdrawScript.Exec(ctx, client, []string{key, queue}, []string{owner, ticket, tail}))
	return status == Done, err
}

// Renewal asks for one lock to be kept alive.
type Renewal struct {
	// Key is the lock's name.
	Key string
	// Owner is who must have it.
	Owner string
	// Lease is the least time to live that it shall have. 0 only looks.
	Lease time.Duration
}

// Verdict is the answer to one [Renewal].
type Verdict int64

// The numbers are those that the script returns.
const (
	// Vanished means that nobody has the lock.
	Vanished Verdict = 0
	// Kept means that the owner has the lock, for at least the lease.
	Kept Verdict = 1
	// TakenOver means that somebody else has the lock, or that something else was
	// written to its name, a read-write lock for example.
	TakenOver Verdict = 2
)

// Renew extends the time to live of many locks in one script and returns one
// verdict per renewal, in their order. It never shortens a time to live and never
// creates a lock. With an error there are no verdicts.
func Renew(ctx context.Context, client rueidis.Client, renewals []Renewal) ([]Verdict, error) {
	keys := make([]string, 0, len(renewals))
	args := make([]string, 0, 2*len(renewals))
	for _, r := range renewals {
		keys = append(keys, r.Key)
		args = append(args, r.Owner, milliseconds(r.Lease))
	}
	values, err := renewScript.Exec(ctx, client, keys, args).ToArray()
	if err != nil {
		return nil, err
	}
	if len(values) != len(renewals) {
		return nil, fmt.Errorf("rlock: renew script returned %d verdicts for %d locks", len(values), len(renewals))
	}
	verdicts := make([]Verdict, len(values))
	for i := range values {
		v, err := values[i].ToInt64()
		if err != nil {
			return nil, fmt.Errorf("rlock: renew script returned a verdict that is no integer: %w", err)
		}
		if v < int64(Vanished) || v > int64(TakenOver) {
			return nil, fmt.Errorf("rlock: renew script returned the verdict %d", v)
		}
		verdicts[i] = Verdict(v)
	}
	return verdicts, nil
}

// State is what lies at a lock's name.
type State struct {
	// TTL is the remaining time to live, Free or Forever.
	TTL time.Duration
	// Fields are the fields of the hash, at most 64: owners and their numbers of
	// holds, and the field "mode" of a read-write lock.
	Fields map[string]string
}

// Inspect looks at the lock at key, on the primary. It changes nothing.
func Inspect(ctx context.Context, client rueidis.Client, key string) (State, error) {
	values, err := inspectScript.Exec(ctx, client, []string{key}, nil).ToArray()
	if err != nil {
		return State{}, err
	}
	if len(values)%2 != 1 {
		return State{}, fmt.Errorf("rlock: inspect script returned %d values, want an odd number", len(values))
	}
	pttl, err := values[0].ToInt64()
	if err != nil {
		return State{}, fmt.Errorf("rlock: inspect script returned a time to live that is no integer: %w", err)
	}
	state := State{TTL: duration(pttl), Fields: make(map[string]string, len(values)/2)}
	for i := 1; i < len(values); i += 2 {
		field, err := values[i].ToString()
		if err != nil {
			return State{}, fmt.Errorf("rlock: inspect script returned a field that is no text: %w", err)
		}
		if state.Fields[field], err = values[i+1].ToString(); err != nil {
			return State{}, fmt.Errorf("rlock: inspect script returned a value that is no text: %w", err)
		}
	}
	return state, nil
}
