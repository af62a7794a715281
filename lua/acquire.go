package lua

import (
	"context"
	_ "embed" // The scripts.
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

//go:embed acquire.lua
var acquireSource string

var acquireScript = rueidis.NewLuaScript(acquireSource)

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
