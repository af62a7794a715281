package lua

import (
	"context"
	_ "embed" // The scripts.
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

var (
	//go:embed release.lua
	releaseSource string
	//go:embed release_alone.lua
	releaseAloneSource string
	//go:embed keep.lua
	keepSource string
	//go:embed reduce.lua
	reduceSource string
	//go:embed shorter.lua
	shorterSource string // what scripts begin with that use it
	//go:embed force_release.lua
	forceReleaseSource string

	releaseScript      = rueidis.NewLuaScript(releaseSource)
	releaseAloneScript = rueidis.NewLuaScript(releaseAloneSource)
	keepScript         = rueidis.NewLuaScript(keepSource)
	reduceScript       = rueidis.NewLuaScript(shorterSource + reduceSource)
	forceReleaseScript = rueidis.NewLuaScript(forceReleaseSource)
)

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
	// Before reports, from HandOver and Pass, that the next owner had the lock already and
	// the owner had no hold. Unless an earlier copy did it, the owner had lost the lock.
	Before bool
}

// Told is who is told that the lease of a lock has become shorter than they know.
type Told struct {
	// Channel is where waiters listen, Beacon where those of them do who know about tickets,
	// or empty: then they are told like the others.
	Channel, Beacon string
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
// the lock's time to live. It never creates a lock. If its time to live becomes shorter, those
// who wait are told.
func Reduce(ctx context.Context, client rueidis.Client, key, owner string, holds int, lease time.Duration, told Told) (Released, error) {
	status, value, err := pair(reduceScript.Exec(ctx, client,
		[]string{key}, []string{owner, strconv.Itoa(holds), milliseconds(lease), told.Channel, told.Beacon}))
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
