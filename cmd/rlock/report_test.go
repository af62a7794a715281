package main

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// told returns the result of processes that said these words and left the counter at
// a number.
func told(counter int64, processes ...string) *result {
	t := newTally(len(processes))
	for i, words := range processes {
		t.members[i].ready = true
		for _, word := range strings.Fields(words) {
			switch word {
			case "killed":
				t.members[i].ended, t.members[i].code = true, -1
			case "crashed":
				t.members[i].ended, t.members[i].code = true, 2
			default:
				t.add(report{from: i, messages: []message{{kind: kind(word), time: time.Millisecond, text: "no route"}}})
			}
		}
	}
	return &result{options: options{lock: "rlock", lease: time.Second}, tally: t, counter: counter}
}

func TestStatus(t *testing.T) {
	const turn = "acquired written "
	tests := map[string]struct {
		result *result
		status int
		says   string
	}{
		"Right":            {told(3, turn+turn+"done", turn+"skipped done"), 0, "exactly what was acquired"},
		"Nothing":          {told(0, "skipped done"), 0, "Nothing was acquired"},
		"Lost":             {told(2, turn+turn+"done", turn+"done"), 1, "1 updates were lost"},
		"Ahead":            {told(4, turn+turn+"done", turn+"done"), 1, "1 ahead"},
		"Killed":           {told(2, turn+turn+"killed"), 0, "1 process was killed: the counter is at most 1 behind"},
		"KilledInTurn":     {told(1, turn+"acquired killed"), 0, "1 behind"},
		"KilledAndWritten": {told(2, turn+"acquired killed"), 0, "exactly"},
		"KilledAndLost":    {told(1, turn+"acquired killed", turn+"done"), 1, "2 behind"},
		"TwoKilled":        {told(1, turn+"acquired killed", "acquired killed"), 0, "2 processes were killed: the counter is at most 2 behind"},
		"KilledAfterwards": {told(1, turn+"done killed"), 0, "exactly"},
		"Crashed":          {told(1, turn+"crashed"), 1, "1 process was stopped by a fault"},
		"Fault":            {told(1, turn+"fault"), 1, "1 process was stopped by a fault"},
		"Failed":           {told(1, turn+"failed"), 1, "1 process was stopped by a fault"},
		"LeaseLost":        {told(1, turn+"acquired lost done"), 1, "1 times the lease of 1s was over"},
		"LeaseLostTooLate": {told(2, turn+turn+"lost done"), 0, "1 times the lease of 1s was over"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.status, test.result.status())
			assert.Contains(t, strings.Join(test.result.verdict(), "\n"), test.says)

			test.result.interrupt = syscall.SIGINT
			want := test.status
			if want == 0 {
				want = 130
			}
			assert.Equal(t, want, test.result.status())

			test.result.counterErr = errors.New("no route")
			assert.Equal(t, statusWrong, test.result.status())
			assert.Contains(t, strings.Join(test.result.verdict(), "\n"), "not known")
		})
	}
}

func TestAskedCountsEveryAnswer(t *testing.T) {
	assert.Equal(t, int64(3), told(1, "acquired written skipped failed").tally.answered())
}

func TestSummaryOfNothing(t *testing.T) {
	r := told(0, "killed")
	r.counterErr = errors.New("no route")
	var out bytes.Buffer
	require.NoError(t, r.printJSON(&out))
	assert.JSONEq(t, `{"asked":0,"acquired":0,"skipped":0,"counter":null,"lost":null,"ops_per_second":null,
		"wait_p50_ms":null,"wait_p99_ms":null,"wait_max_ms":null,"commands_per_acquisition":null}`, out.String())
	out.Reset()
	require.NoError(t, r.printTable(&out))
	assert.Equal(t, 7, strings.Count(out.String(), "unknown"))
}

func TestProgressWithoutATerminalIsLines(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out, 10)
	p.update(0)
	p.update(4)
	p.update(4)
	p.say("process %d was killed", 7)
	p.update(10)
	p.end()
	assert.Equal(t, "4 of 10 turns\nprocess 7 was killed\n10 of 10 turns\n", out.String())
}

func TestProgressOnATerminalIsABar(t *testing.T) {
	var out bytes.Buffer
	p := newBar(&out, 10)
	p.update(4)
	p.say("process %d was killed", 7)
	p.update(10)
	p.end()
	assert.Contains(t, out.String(), "40%")
	assert.Contains(t, out.String(), "\rprocess 7 was killed\n")
}
