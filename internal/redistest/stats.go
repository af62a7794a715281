package redistest

import (
	"strconv"
	"strings"
	"testing"
)

// A Stat is what a server counted of one command.
type Stat struct {
	Calls int64 // how often it was called, by clients and by scripts
	USec  int64 // the processor time that it took, in microseconds
}

// CommandStats returns what the server counted since its start or the last
// ResetStats, by the name of the command in lower case ("evalsha"), that of a
// subcommand after a bar ("client|setinfo"). A command that was not called is not
// in it. The reading itself counts as one "info", after it.
func (s *Server) CommandStats(tb testing.TB) map[string]Stat {
	tb.Helper()
	text, ok := s.Do(tb, "INFO", "commandstats").(string)
	if !ok {
		tb.Fatal("redistest: the server's answer to INFO is not a string")
	}
	return parseStats(text)
}

// ResetStats sets the server's counters to zero. The command that does it counts
// as one "config|resetstat", after it.
func (s *Server) ResetStats(tb testing.TB) {
	tb.Helper()
	s.Do(tb, "CONFIG", "RESETSTAT")
}

// parseStats reads lines like "cmdstat_get:calls=3,usec=7,usec_per_call=2.33".
func parseStats(info string) map[string]Stat {
	stats := map[string]Stat{}
	for line := range strings.Lines(info) {
		name, fields, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || !strings.HasPrefix(name, "cmdstat_") {
			continue
		}
		var stat Stat
		for field := range strings.SplitSeq(fields, ",") {
			key, value, _ := strings.Cut(field, "=")
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				continue // a fraction
			}
			switch key {
			case "calls":
				stat.Calls = n
			case "usec":
				stat.USec = n
			}
		}
		stats[strings.TrimPrefix(name, "cmdstat_")] = stat
	}
	return stats
}
