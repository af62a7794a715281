package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// A worker process tells its parent what happened the moment it has happened, one
// line each on its standard output, so that nothing is forgotten when it is killed.
// The parent sends on the worker's standard input the job, later the word "go", and
// closes it when the worker is to stop.

// A kind is the first word of a line from a worker.
type kind string

const (
	isReady  kind = "ready"    // connected, waits for "go"
	acquired kind = "acquired" // + µs waited: it has the lock, and nothing is written yet
	skipped  kind = "skipped"  // + µs waited: the wait time was over
	written  kind = "written"  // the counter is one higher
	lost     kind = "lost"     // the lease was over before the turn was
	failed   kind = "failed"   // + text: the lock could not be asked for; the worker stops
	fault    kind = "fault"    // + text: anything else went wrong; the worker stops
	done     kind = "done"     // + µs since "go": the worker has stopped as it should
)

// wordGo is the line upon which workers start.
const wordGo = "go"

// A message is one line from a worker.
type message struct {
	kind kind
	time time.Duration // acquired, skipped, done
	text string        // failed, fault
}

// encode returns the message as a line.
func (m message) encode() string {
	switch m.kind {
	case acquired, skipped, done:
		return string(m.kind) + " " + strconv.FormatInt(m.time.Microseconds(), 10) + "\n"
	case failed, fault:
		return string(m.kind) + " " + strings.ReplaceAll(m.text, "\n", "; ") + "\n"
	default:
		return string(m.kind) + "\n"
	}
}

// decode reads a line that encode made.
func decode(line string) (message, error) {
	word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	m := message{kind: kind(word)}
	switch m.kind {
	case isReady, written, lost:
	case acquired, skipped, done:
		micros, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return message{}, fmt.Errorf("line %q: %w", line, err)
		}
		m.time = time.Duration(micros) * time.Microsecond
	case failed, fault:
		m.text = rest
	default:
		return message{}, fmt.Errorf("line %q is of no known kind", line)
	}
	return m, nil
}

// A teller writes messages. The first error stays.
type teller struct {
	out io.Writer
	err error
}

func (t *teller) tell(m message) {
	if t.err == nil {
		_, t.err = io.WriteString(t.out, m.encode())
	}
}
