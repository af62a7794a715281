package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCommandStatsAreParsed(t *testing.T) {
	got := parseCommandStats("# Commandstats\r\n" +
		"cmdstat_set:calls=12,usec=80,usec_per_call=6.67,rejected_calls=0,failed_calls=0\r\n" +
		"cmdstat_client|setinfo:calls=2,usec=9,usec_per_call=4.50\r\n" +
		"something:else=1\r\n")
	assert.Equal(t, commandCounts{"set": 12, "client|setinfo": 2}, got)
	assert.Nil(t, parseCommandStats("# Commandstats\r\n"))
}

func TestCommandsSince(t *testing.T) {
	before := commandCounts{"get": 5, "hello": 1}
	after := commandCounts{"get": 8, "evalsha": 4, "hello": 9, "client|setinfo": 7, "info": 2}
	total, known := after.since(before)
	require.True(t, known)
	assert.Equal(t, int64(7), total)

	for name, counts := range map[string][2]commandCounts{
		"NotToldBefore": {nil, after},
		"NotToldAfter":  {before, nil},
		"Reset":         {after, before},
	} {
		t.Run(name, func(t *testing.T) {
			_, known := counts[1].since(counts[0])
			assert.False(t, known)
		})
	}
}
