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

// names are what the keys and channels of a lock are called. They have the hash tag of
// the lock, so that a cluster keeps them together.
type names struct {
	lock    string // a hash; the name that the user gave
	tail    string // of the names of the channels on which all listen
	channel string // on which releases are published
	own     string // tail of the names that no other lock has
	queue   string // a list: the tickets of those who wait
}

// namesOf derives the names as Redisson does: the lock's name becomes the hash tag
// unless it has a brace of its own. So "a" and "{a}" share a channel, whose messages make
// nobody an owner. What hands a lock over is not shared.
func namesOf(lock string) names {
	tail, own := lock, lock+":" // by which no other tail ends
	if !strings.Contains(lock, "{") {
		tail = "{" + lock + "}"
		own = tail
	}
	return names{lock: lock, tail: tail, channel: "redisson_lock__channel:" + tail, own: own, queue: "rlock_queue:" + own}
}

// beacon is the channel that everybody listens on who knows about tickets.
func (n *names) beacon() string { return "rlock_beacon:" + n.tail }

// grants is the channel on which a client is told that its ticket was served.
func (n *names) grants(clientID string) string { return "rlock_grant:" + n.own + ":" + clientID }
