package lua

import (
	"context"
	_ "embed" // The scripts.
	"fmt"
	"time"

	"github.com/redis/rueidis"
)

//go:embed inspect.lua
var inspectSource string

var inspectScript = rueidis.NewLuaScript(inspectSource)

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
	values, err := array(inspectScript.Exec(ctx, client, []string{key}, nil))
	if err != nil {
		return State{}, err
	}
	if len(values)%2 != 1 {
		return State{}, fmt.Errorf("%w: %d values for an odd number", ErrReply, len(values))
	}
	pttl, err := integer(&values[0])
	if err != nil {
		return State{}, err
	}
	state := State{TTL: duration(pttl), Fields: make(map[string]string, len(values)/2)}
	for i := 1; i < len(values); i += 2 {
		field, err := text(&values[i])
		if err != nil {
			return State{}, err
		}
		if state.Fields[field], err = text(&values[i+1]); err != nil {
			return State{}, err
		}
	}
	return state, nil
}
