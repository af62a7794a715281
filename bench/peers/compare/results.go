package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/go-rlock/rlock/internal/redistest"
)

// results are all that was measured, and on what.
type results struct {
	Machine string `json:"machine"`
	Took    string `json:"took"`
	Missing string `json:"missing,omitempty"` // who does not take part, and why
	Figures table  `json:"figures"`
}

const figuresFile = "figures.json"

// describe says in one line on what the results were measured.
func describe(ctx context.Context, server *redistest.Server) (string, error) {
	reply, err := server.Call(ctx, "INFO", "server")
	if err != nil {
		return "", err
	}
	version := "of an unknown version"
	for line := range strings.Lines(fmt.Sprint(reply)) {
		if v, found := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); found {
			version = v
		}
	}
	return fmt.Sprintf("Redis %s, %s, %d processors (%s/%s)",
		version, runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH), nil
}

// read reads the results in a directory.
func read(dir string) (results, error) {
	var r results
	text, err := os.ReadFile(filepath.Join(dir, figuresFile))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// write writes the results to a directory: the figures, the tables, the pictures.
func (r results) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, figuresFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	tables, err := os.Create(filepath.Join(dir, "README.md"))
	if err != nil {
		return err
	}
	if err := errors.Join(r.markdown(tables), tables.Close()); err != nil {
		return err
	}
	return r.draw(dir)
}

// markdown writes the goals and the tables.
func (r results) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Results\n\nMade by `make bench` on %s, in %s.", r.Machine, r.Took)
	if r.Missing != "" {
		b.WriteString(" " + r.Missing)
	}
	b.WriteString("\n\n" + explanation)
	if slices.ContainsFunc(r.Figures, func(f *figures) bool { return f.Clients > 1 && f.Goroutines == 1 }) {
		for _, p := range pictures {
			fmt.Fprintf(&b, "\n![%s](%s)\n", p.title, p.file)
		}
	}
	b.WriteString("\n## Goals\n\n" + aboutGoals + "\n| row | goal | measured | |\n|---|---|---|---|\n")
	for _, g := range goals {
		fmt.Fprintln(&b, g.line(r.Figures))
	}
	b.WriteString("\n## Ratios\n\n" + aboutRatios + "\n" + r.Figures.ratios())
	var row string
	for _, f := range r.Figures {
		if f.Row != row {
			row = f.Row
			fmt.Fprintf(&b, "\n## %s\n\n%s", row, head(f))
		}
		b.WriteString(f.line())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const explanation = `rlock is this lock, rlock-public the same without hand-over. The floor is the least that a
lock can cost on the same client library: two bare scripts where nobody waits; where somebody
does, ring, a token that is passed round with one script per hop. The spin locks are a loop
around SET NX with pauses. Everything else is what its name says, as its documentation
recommends to use it: redsync 4, bsm/redislock and rueidislock, Redisson 4.7.0 with its plain,
its fair and its spin lock.

Every contestant works in a process of its own, one at a time, and all of them in each round.
Clients stand for processes: each has its own connections and its own identity. In a real set of
processes each would have its own threads, too, which Redisson's clients share here.

Redis commands are counted by the server, those within scripts included, but not the PINGs and
HELLOs that keep and open connections. Processor times are Redis's and the contestant's; bytes
are those of both directions. Fairness is Jain's index over the goroutines or threads: 1 if all
of them got the lock equally often, 1/n if one of n got it always. A lock that barges lets
whoever has just unlocked lock again at once, as all do but rlock, ring and redisson-fair, and
rlock-public between clients: its rate is high and its p50 and even its p99 are low where nothing
is held, and max and fairness tell who pays. Hung means that somebody still waited 10 s after
all others were done. Rates are the mean of the rounds, waits are those of all rounds together.
`

const aboutGoals = `A ratio of rates or times is the median of the ratios within the rounds, in which both were
measured one soon after the other. Each rate and time beside it in parentheses is the median
of its own rounds, so that these two need not have just that ratio.
`

const aboutRatios = `How many times the rate of the others rlock has (the more the better), the median of the ratios
within the rounds; and how many times their 99th percentile of the wait, of all rounds together
(the less the better).
`

// head returns the head of a row's table, of which f has a line.
func head(f *figures) string {
	if f.isSteady() {
		return "| | Redis commands/s | scripts/s | bytes/s | Redis, of a core | client, of a core |\n" +
			"|---|--:|--:|--:|--:|--:|\n"
	}
	return "| | acquisitions/s | Redis commands | Redis CPU µs | client CPU µs | bytes | " +
		"wait p50 ms | p99 | max | fairness |\n" +
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
}

// isSteady reports whether nothing is acquired in the row.
func (f *figures) isSteady() bool { return f.Row == idleName || f.Row == watchedName }

// line returns the line of one contestant.
func (f *figures) line() string {
	switch {
	case len(f.Rates) == 0:
		return fmt.Sprintf("| %s | failed: %s |\n", f.Contestant, f.Failed)
	case f.isSteady():
		return fmt.Sprintf("| %s | %s | %s | %s | %.1f %% | %.1f %% |\n", f.Contestant,
			number(f.CommandsPerSecond), number(f.ScriptsPerSecond), number(f.BytesPerSecond),
			100*f.RedisLoad, 100*f.ClientLoad)
	}
	name := f.Contestant
	if f.Stuck > 0 {
		name += fmt.Sprintf(" (%d hung)", f.Stuck)
	}
	if f.Failed != "" {
		name += " (some rounds failed)"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %s | %.2f |\n", name,
		number(f.Rate), number(f.Commands), number(f.RedisCPU), number(f.ClientCPU), number(f.Bytes),
		number(f.P50), number(f.P99), number(f.Max), f.Fairness)
}

// number returns a number with as many digits as say something.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
