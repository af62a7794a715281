package rlock

import (
	"fmt"
	"strings"
)

// maxName is the longest name of a lock, in bytes.
const maxName = 64 << 10

// checkName returns why a lock of that name cannot work.
func checkName(name string) error {
	if name == "" {
		return fmt.Errorf("name is empty; it must have 1 to %d bytes", maxName)
	}
	if len(name) > maxName {
		return fmt.Errorf("name has %d bytes; it must have 1 to %d", len(name), maxName)
	}
	return nil
}

// channelOf returns the channel on which releases of the lock are published.
func channelOf(name string) string { return prefixed("redisson_lock__channel", name) }

// prefixed returns Redisson's derived name, in the same hash slot as the lock: the
// lock's name becomes the hash tag unless it has a brace of its own.
func prefixed(prefix, name string) string {
	if strings.Contains(name, "{") {
		return prefix + ":" + name
	}
	return prefix + ":{" + name + "}"
}
