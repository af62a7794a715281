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

// pair decodes a reply of the form {status, value}.
func pair(reply rueidis.RedisResult) (Status, int64, error) {
	values, err := reply.ToArray()
	if err != nil {
		return 0, 0, err
	}
	if len(values) != 2 {
		return 0, 0, fmt.Errorf("rlock: script returned %d values, want 2", len(values))
	}
	status, err := values[0].ToInt64()
	if err != nil {
		return 0, 0, fmt.Errorf("rlock: script returned a status that is no integer: %w", err)
	}
	value, err := values[1].ToInt64()
	if err != nil {
		return 0, 0, fmt.Errorf("rlock: script returned a value that is no integer: %w", err)
	}
	return Status(status), value, nil
}

var (
	//go:embed acquire.lua
	acquireSource string
	//go:embed release.lua
	releaseSource string
	//go:embed reduce.lua
	reduceSource string
	//go:embed renew.lua
	renewSource string
	//go:embed force_release.lua
	forceReleaseSource string
	//go:embed inspect.lua
	inspectSource string

	acquireScript      = rueidis.NewLuaScript(acquireSource)
	releaseScript      = rueidis.NewLuaScript(releaseSource)
	reduceScript       = rueidis.NewLuaScript(reduceSource)
	renewScript        = rueidis.NewLuaScript(renewSource)
	forceReleaseScript = rueidis.NewLuaScript(forceReleaseSource)
	inspectScript      = rueidis.NewLuaScript(inspectSource)
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

// Released is what [Release], [Reduce] or [ForceRelease] found and did.
type Released struct {
	// Status is Done, NotOwner or OtherKind.
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
