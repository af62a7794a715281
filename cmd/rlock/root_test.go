package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBadCommandLineIsOneSentence(t *testing.T) {
	tests := map[string]struct {
		args string
		says []string // what was given, and what is allowed
	}{
		"Command":       {"frobnicate", []string{`"frobnicate"`, "demo", "help"}},
		"RootFlag":      {"--frobnicate", []string{"--frobnicate", "--help"}},
		"Flag":          {"demo --frobnicate", []string{"--frobnicate", "--processes", "--json"}},
		"ShortFlag":     {"demo -x", []string{"'x' in -x", "--processes"}},
		"Argument":      {"demo 3", []string{`"3"`, "only flags"}},
		"NoValue":       {"demo --wait", []string{"--wait", "argument"}},
		"Zero":          {"demo --processes 0", []string{`"0"`, "--processes", "from 1 to 256"}},
		"TooMany":       {"demo --processes 257", []string{`"257"`, "--processes", "from 1 to 256"}},
		"Negative":      {"demo --iterations -1", []string{`"-1"`, "--iterations", "from 1 to"}},
		"NotANumber":    {"demo --iterations many", []string{`"many"`, "--iterations", "whole number"}},
		"NotADuration":  {"demo --wait 5", []string{`"5"`, "--wait", "from 0s to 1h0m0s", "such as 5ms"}},
		"NegativeWait":  {"demo --wait -1s", []string{`"-1s"`, "--wait", "from 0s"}},
		"ShortLease":    {"demo --lease 1us", []string{`"1us"`, "--lease", "from 1ms"}},
		"LongHold":      {"demo --hold 2h", []string{`"2h"`, "--hold", "to 1h0m0s"}},
		"UnknownLock":   {"demo --lock mutex", []string{`"mutex"`, "--lock", "rlock, spin, none"}},
		"NotAURL":       {"demo --redis localhost:6379", []string{`"localhost:6379"`, "redis://"}},
		"OtherScheme":   {"demo --redis http://localhost", []string{`"http://localhost"`, "redis://"}},
		"BadURL":        {"demo --redis redis://[", []string{`"redis://["`, "redis://user"}},
		"BadDatabase":   {"demo --redis redis://localhost/x", []string{`"x"`, "redis://"}},
		"ShownPassword": {"demo --redis redis://me:secret@localhost/x", []string{"me:xxxxx@localhost"}},
		"WorkerByHand":  {"demo-worker", []string{"standard input", "rlock demo"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(strings.Fields(test.args), strings.NewReader(""), &stdout, &stderr)
			require.Equal(t, statusUsage, status)
			assert.Empty(t, stdout.String())
			assert.Regexp(t, `\Arlock: [^\n]+\n\z`, stderr.String())
			assert.NotContains(t, stderr.String(), "secret")
			for _, what := range test.says {
				assert.Contains(t, stderr.String(), what)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	tests := map[string]struct {
		args string
		says []string
	}{
		"Nothing": {"", []string{"rlock demo", "Available Commands"}},
		"Root":    {"--help", []string{"rlock demo", "Available Commands"}},
		"Demo":    {"demo --help", []string{redisVariable, "commandstats", "Exit status", "Examples", "(default 10000)"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			require.Zero(t, run(strings.Fields(test.args), strings.NewReader(""), &stdout, &stderr))
			assert.Empty(t, stderr.String())
			assert.NotContains(t, stdout.String(), workerCommand)
			for _, what := range test.says {
				assert.Contains(t, stdout.String(), what)
			}
			for line := range strings.Lines(stdout.String()) {
				assert.LessOrEqual(t, len(line), 100, line)
			}
		})
	}
}
