package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A tally is what all processes together have told.
type tally struct {
	acquired int64
	skipped  int64
	failed   int64 // turns that asked for the lock and got a fault
	written  int64
	lost     int64
	waits    *hdrhistogram.Histogram // µs, of those that acquired
	longest  time.Duration           // of the waits
	working  time.Duration           // of the process that worked longest
	members  []standing
}

// A standing is what is known of one process.
type standing struct {
	turns int64
	open  bool // it had the lock and has not told what became of its turn
	ready bool
	done  bool   // it stopped as it should
	fault string // it stopped because of this
	ended bool
	code  int // exit status, -1 if it was killed
}

// longestWait is where waiting times stop to be told apart.
const longestWait = 24 * time.Hour

func newTally(processes int) *tally {
	return &tally{
		waits:   hdrhistogram.New(1, longestWait.Microseconds(), 3),
		members: make([]standing, processes),
	}
}

// add counts a report.
func (t *tally) add(r report) {
	member := &t.members[r.from]
	for _, m := range r.messages {
		switch m.kind {
		case isReady:
			member.ready = true
		case acquired:
			t.acquired++
			member.turns++
			member.open = true
			t.longest = max(t.longest, m.time)
			_ = t.waits.RecordValue(min(m.time, longestWait).Microseconds())
		case skipped:
			t.skipped++
			member.turns++
		case written:
			t.written++
			member.open = false
		case lost:
			t.lost++
			member.open = false
		case failed:
			t.failed++
			member.fault = m.text
		case fault:
			member.fault = m.text
		case done:
			member.done = true
			t.working = max(t.working, m.time)
		}
	}
	if r.ended != nil {
		member.ended = true
		member.code = r.ended.ExitCode()
	}
}

// answered returns how many turns have asked for the lock and got an answer.
func (t *tally) answered() int64 { return t.acquired + t.skipped + t.failed }

// settled reports whether every process is ready or has ended.
func (t *tally) settled() bool {
	for _, m := range t.members {
		if !m.ready && !m.ended {
			return false
		}
	}
	return true
}

// killed returns how many processes were killed in the middle of their work.
func (t *tally) killed() int {
	return t.count(standing.killed)
}

// broken returns how many processes stopped because of a fault.
func (t *tally) broken() int {
	return t.count(standing.broken)
}

// inDoubt returns how many turns may or may not have written the counter.
func (t *tally) inDoubt() int64 {
	return int64(t.count(func(s standing) bool { return s.open }))
}

func (t *tally) count(is func(standing) bool) int {
	n := 0
	for _, m := range t.members {
		if is(m) {
			n++
		}
	}
	return n
}

// killed reports whether a signal ended the process without a word, once it had begun.
func (s standing) killed() bool {
	return s.unheard() && s.ready
}

// unheard reports whether a signal ended the process without a word.
func (s standing) unheard() bool {
	return s.ended && !s.done && s.fault == "" && s.code == -1
}

// broken reports whether the process ended otherwise than it should, by itself.
func (s standing) broken() bool {
	return s.fault != "" || s.ended && s.code > 0 || s.ended && !s.done && s.code == 0
}
