package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-rlock/rlock/internal/redistest"
)

// Counters are what a server has counted since its start.
type Counters struct {
	// Commands is how many commands it executed, those that scripts called
	// included. INFO is left out, and so are the PINGs and HELLOs by which clients
	// watch and open their connections.
	Commands int64
	// Scripts is how many of these were scripts.
	Scripts int64
	// CPU is the processor time of its process.
	CPU time.Duration
	// Bytes is how much went through its connections, in both directions.
	Bytes int64

	reply int64 // of the reading, which the server counts once it is written
}

// Count reads the counters of a server. The reading itself is in none of them but
// CPU and, for a few dozen bytes, Bytes.
func Count(ctx context.Context, server *redistest.Server) (Counters, error) {
	reply, err := server.Call(ctx, "INFO", "all")
	if err != nil {
		return Counters{}, fmt.Errorf("bench: read the server's counters: %w", err)
	}
	text, ok := reply.(string)
	if !ok {
		return Counters{}, fmt.Errorf("bench: the server's answer to INFO is a %T", reply)
	}
	c, err := parseCounters(text)
	if err != nil {
		return Counters{}, err
	}
	c.reply = int64(len(text))
	return c, nil
}

// Sub returns how much was counted since before. Both are readings of the same server.
func (c Counters) Sub(before Counters) Counters {
	return Counters{
		Commands: c.Commands - before.Commands,
		Scripts:  c.Scripts - before.Scripts,
		CPU:      c.CPU - before.CPU,
		Bytes:    c.Bytes - before.Bytes - before.reply,
	}
}

// Add returns the sum of two differences.
func (c Counters) Add(d Counters) Counters {
	return Counters{
		Commands: c.Commands + d.Commands,
		Scripts:  c.Scripts + d.Scripts,
		CPU:      c.CPU + d.CPU,
		Bytes:    c.Bytes + d.Bytes,
	}
}

// parseCounters reads lines like "used_cpu_user:0.12" and
// "cmdstat_get:calls=3,usec=7,usec_per_call=2.33".
func parseCounters(info string) (Counters, error) {
	var c Counters
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case name == "used_cpu_sys" || name == "used_cpu_user":
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return Counters{}, fmt.Errorf("bench: %s: %w", name, err)
			}
			c.CPU += time.Duration(seconds * float64(time.Second))
		case name == "total_net_input_bytes" || name == "total_net_output_bytes":
			bytes, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return Counters{}, fmt.Errorf("bench: %s: %w", name, err)
			}
			c.Bytes += bytes
		case strings.HasPrefix(name, "cmdstat_"):
			if err := c.count(strings.TrimPrefix(name, "cmdstat_"), value); err != nil {
				return Counters{}, err
			}
		}
	}
	return c, nil
}

// count counts the calls of one command.
func (c *Counters) count(command, stat string) error {
	first, _, _ := strings.Cut(stat, ",")
	calls, err := strconv.ParseInt(strings.TrimPrefix(first, "calls="), 10, 64)
	if err != nil {
		return fmt.Errorf("bench: calls of %s: %w", command, err)
	}
	switch command {
	case "info", "ping", "hello": // reading the counters, and keeping and opening connections
		return nil
	case "eval", "evalsha":
		c.Scripts += calls
	}
	c.Commands += calls
	return nil
}
