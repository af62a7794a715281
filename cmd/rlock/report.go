package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"syscall"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// A result is what came of a trial.
type result struct {
	options    options
	tally      *tally
	interrupt  os.Signal
	commands   *int64 // nil if it is not known
	untold     bool   // the server does not tell the commands
	counter    int64
	counterErr error
}

// missing is how far the counter is behind what was acquired.
func (r *result) missing() int64 { return r.tally.acquired - r.counter }

// right reports whether the counter is what was acquired, as far as can be known
// when turns were cut off between lock and write.
func (r *result) right() bool {
	missing := r.missing()
	return r.counterErr == nil && missing >= 0 && missing <= r.tally.inDoubt()
}

// status is what the program should end with.
func (r *result) status() int {
	switch {
	case !r.right(), r.tally.broken() > 0:
		return statusWrong
	case r.interrupt != nil:
		number, _ := r.interrupt.(syscall.Signal)
		return 128 + int(number)
	default:
		return 0
	}
}

// A summary is the result in numbers, nil where one is not known.
type summary struct {
	Asked                  int64    `json:"asked"`
	Acquired               int64    `json:"acquired"`
	Skipped                int64    `json:"skipped"`
	Counter                *int64   `json:"counter"`
	Lost                   *int64   `json:"lost"`
	OpsPerSecond           *float64 `json:"ops_per_second"`
	WaitP50                *float64 `json:"wait_p50_ms"`
	WaitP99                *float64 `json:"wait_p99_ms"`
	WaitMax                *float64 `json:"wait_max_ms"`
	CommandsPerAcquisition *float64 `json:"commands_per_acquisition"`
}

func (r *result) summary() summary {
	s := summary{Asked: r.tally.answered(), Acquired: r.tally.acquired, Skipped: r.tally.skipped}
	if r.counterErr == nil {
		missing := r.missing()
		s.Counter, s.Lost = &r.counter, &missing
	}
	if r.tally.working > 0 {
		s.OpsPerSecond = rounded(float64(r.tally.acquired)/r.tally.working.Seconds(), 1)
	}
	if waits := r.tally.waits; waits.TotalCount() > 0 {
		s.WaitP50 = milliseconds(waits.ValueAtPercentile(50))
		s.WaitP99 = milliseconds(waits.ValueAtPercentile(99))
		s.WaitMax = milliseconds(r.tally.longest.Microseconds())
	}
	if r.commands != nil && r.tally.acquired > 0 {
		s.CommandsPerAcquisition = rounded(float64(*r.commands)/float64(r.tally.acquired), 2)
	}
	return s
}

func milliseconds(micros int64) *float64 { return rounded(float64(micros)/1000, 3) }

// rounded returns x with so many digits behind the point.
func rounded(x float64, digits int) *float64 {
	scale := math.Pow10(digits)
	x = math.Round(x*scale) / scale
	return &x
}

// printJSON prints the summary as one object on one line.
func (r *result) printJSON(out io.Writer) error {
	return json.NewEncoder(out).Encode(r.summary())
}

// printTable prints the summary as a table, with a verdict below it.
func (r *result) printTable(out io.Writer) error {
	s := r.summary()
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 2, Align: text.AlignRight}})
	t.AppendRow(table.Row{"asked", s.Asked})
	t.AppendRow(table.Row{"acquired", s.Acquired})
	t.AppendRow(table.Row{"skipped", s.Skipped})
	t.AppendRow(table.Row{"counter", orUnknown(s.Counter)})
	t.AppendRow(table.Row{"lost updates", orUnknown(s.Lost)})
	if n := r.tally.lost; n > 0 {
		t.AppendRow(table.Row{"leases lost", n})
	}
	if n := r.tally.killed(); n > 0 {
		t.AppendRow(table.Row{"processes killed", n})
	}
	if n := r.tally.broken(); n > 0 {
		t.AppendRow(table.Row{"processes stopped by a fault", n})
	}
	t.AppendRow(table.Row{"operations/s", orUnknown(s.OpsPerSecond)})
	t.AppendRow(table.Row{"waiting time p50", withUnit(s.WaitP50)})
	t.AppendRow(table.Row{"waiting time p99", withUnit(s.WaitP99)})
	t.AppendRow(table.Row{"waiting time max", withUnit(s.WaitMax)})
	commands := orUnknown(s.CommandsPerAcquisition)
	if r.untold {
		commands = "not told by this server"
	}
	t.AppendRow(table.Row{"Redis commands per acquisition", commands})
	_, err := fmt.Fprintf(out, "%s\n%s\n", t.Render(), strings.Join(r.verdict(), "\n"))
	return err
}

func orUnknown[T any](number *T) any {
	if number == nil {
		return "unknown"
	}
	return *number
}

func withUnit(number *float64) any {
	if number == nil {
		return "unknown"
	}
	return fmt.Sprintf("%.3f ms", *number)
}

// verdict says in sentences what the numbers mean.
func (r *result) verdict() []string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }

	missing := r.missing()
	switch doubt := r.tally.inDoubt(); {
	case r.counterErr != nil:
		say("What the counter was at the end is not known: %v.", r.counterErr)
	case missing == 0 && r.tally.acquired == 0:
		say("Nothing was acquired, and nothing written.")
	case missing == 0:
		say("The counter is exactly what was acquired.")
	case r.right():
		say("The counter is %d behind what was acquired, which the processes that were cut off explain.", missing)
	case missing < 0:
		say("The counter is %d ahead of what was acquired: somebody else wrote it.", -missing)
	case doubt > 0:
		say("The counter is %d behind what was acquired; %d of that may be due to processes that were cut off.", missing, doubt)
	case r.options.lock == "none":
		say("%d updates were lost, as nothing kept the processes apart.", missing)
	default:
		say("%d updates were lost.", missing)
	}
	if n := r.tally.lost; n > 0 {
		say("%d times the lease of %v was over before the turn was: a longer --lease or a shorter --hold helps.", n, r.options.lease)
	}
	if n := r.tally.killed(); n > 0 {
		say("%s killed: the counter is at most %d behind because of that, and what was locked is free after the lease of %v.",
			plural(n, "process was", "processes were"), n, r.options.lease)
	}
	if n := r.tally.broken(); n > 0 {
		say("%s stopped by a fault.", plural(n, "process was", "processes were"))
	}
	if r.interrupt != nil {
		say("It was interrupted (%v).", r.interrupt)
	}
	return said
}

// plural returns a number with the word that fits it.
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
