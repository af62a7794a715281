package main

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// commandCounts says how often a server has run each command since it started, those
// that scripts call included.
type commandCounts map[string]int64

// housekeeping are the commands that connections cost, and the one that counts.
var housekeeping = []string{"auth", "client", "command", "hello", "info", "ping", "quit", "select"}

// countCommands asks the server. The result is nil if it does not tell.
func countCommands(ctx context.Context, rdb rueidis.Client) commandCounts {
	text, err := rdb.Do(ctx, rdb.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		return nil
	}
	return parseCommandStats(text)
}

// parseCommandStats reads lines like "cmdstat_client|setinfo:calls=2,usec=9,…". The
// result is nil if there is none.
func parseCommandStats(text string) commandCounts {
	var counts commandCounts
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":calls=")
		name, isStat := strings.CutPrefix(name, "cmdstat_")
		calls, _, _ := strings.Cut(rest, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if !isStat || err != nil {
			continue
		}
		if counts == nil {
			counts = commandCounts{}
		}
		counts[name] = n
	}
	return counts
}

// since returns how many commands were run after before was counted, housekeeping
// aside. It is false if that is not known.
func (c commandCounts) since(before commandCounts) (int64, bool) {
	if c == nil || before == nil {
		return 0, false
	}
	var total int64
	for name, n := range c {
		family, _, _ := strings.Cut(name, "|")
		if slices.Contains(housekeeping, family) {
			continue
		}
		more := n - before[name]
		if more < 0 { // somebody reset the counts
			return 0, false
		}
		total += more
	}
	return total, true
}
