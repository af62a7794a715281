package lua

import (
	"context"
	_ "embed" // The scripts.
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

//go:embed renew.lua
var renewSource string

var renewScript = rueidis.NewLuaScript(renewSource)

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
	values, err := array(renewScript.Exec(ctx, client, keys, args))
	if err != nil {
		return nil, err
	}
	if len(values) != len(renewals) {
		return nil, fmt.Errorf("%w: %d verdicts for %d locks", ErrReply, len(values), len(renewals))
	}
	verdicts := make([]Verdict, len(values))
	for i := range values {
		v, err := integer(&values[i])
		if err != nil {
			return nil, err
		}
		if v < int64(Vanished) || v > int64(TakenOver) {
			return nil, fmt.Errorf("%w: the verdict is %d", ErrReply, v)
		}
		verdicts[i] = Verdict(v)
	}
	return verdicts, nil
}
