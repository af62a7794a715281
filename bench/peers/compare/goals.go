package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-rlock/rlock/bench"
)

// A goal is what the lock should reach in a row, beside others in the same run.
type goal struct {
	row  string
	text string
	// judge says how far that is reached. Ok is false if it was not measured.
	judge func(table) (found verdict, ok bool)
}

type verdict struct {
	text string
	met  bool
}

// line returns the goal's line in the table.
func (g goal) line(t table) string {
	found, ok := g.judge(t)
	state := "not met"
	switch {
	case !ok:
		found.text, state = "–", "not measured"
	case found.met:
		state = "met"
	}
	return fmt.Sprintf("| %s | %s | %s | %s |", g.row, g.text, found.text, state)
}

var (
	serial, serialCancel  = nameOf(bench.Serial, bench.Background, 0), nameOf(bench.Serial, bench.Cancel, 0)
	names64               = nameOf(bench.Names64, bench.Background, 0)
	goroutines32          = nameOf(bench.Goroutines32, bench.Background, 0)
	clients32, clients32H = contendedNames(bench.Clients32)
	clients8x8, clients8H = contendedNames(bench.Clients8x8)
)

func contendedNames(w bench.Workload) (noHold, hold string) {
	return nameOf(w, bench.Background, 0), nameOf(w, bench.Background, time.Millisecond)
}

var goals = []goal{
	rateGoal(clients32, ring, 0.9),
	rateGoal(clients32, redisson, 12),
	tailGoal(clients32, 3),
	rateGoal(clients32H, redisson, 3.4),
	tailGoal(clients32H, 1.5),
	rateGoal(clients8x8, redisson, 6),
	rateGoal(clients8H, redisson, 1.4),
	shareGoal(clients8H, redisson, 5),
	rateGoal(goroutines32, redisson, 3),
	tailGoal(goroutines32, 2),
	timeGoal(serial, floor, 1.05),
	timeGoal(serialCancel, floor, 1.05),
	rateGoal(serial, redisson, 1.6),
	rateGoal(names64, floor, 0.95),
	rateGoal(names64, redisson, 7),
	spreadGoal(0),
	spreadGoal(time.Millisecond),
	commandsGoal(goroutines32, 5.5),
	peersGoal(),
	waitGoal(),
	idleGoal(),
	scriptsGoal(),
	loadGoal(),
}

// atLeast and atMost are what it takes to meet a goal.
func atLeast(limit float64) (met func(float64) bool) {
	return func(v float64) bool { return v >= limit }
}

func atMost(limit float64) (met func(float64) bool) {
	return func(v float64) bool { return v <= limit }
}

// digits returns a value with two digits behind the point, or with as many as it takes
// not to look met where it is not, or the other way round.
func digits(v float64, met func(float64) bool) string {
	for n := 2; ; n++ {
		text := strconv.FormatFloat(v, 'f', n, 64)
		if rounded, err := strconv.ParseFloat(text, 64); err != nil || n == 6 || met(rounded) == met(v) {
			return text
		}
	}
}

// compared returns a goal that compares us with another contestant in a row.
func compared(row, other, text string, judge func(us, them *figures) verdict) goal {
	return goal{row: row, text: text, judge: func(t table) (verdict, bool) {
		us, them := t.at(row, ours), t.at(row, other)
		if us == nil || them == nil {
			return verdict{}, false
		}
		return judge(us, them), true
	}}
}

// rateGoal is to be at least so many times as fast as another one.
func rateGoal(row, other string, least float64) goal {
	return compared(row, other, fmt.Sprintf("≥ %v × the rate of %s", least, other),
		func(us, them *figures) verdict {
			r, met := ratio(us, them), atLeast(least)
			return verdict{
				fmt.Sprintf("%s × (%s/s to %s/s)", digits(r, met), number(median(us.Rates)), number(median(them.Rates))),
				met(r),
			}
		})
}

// timeGoal is to take at most so many times the time of another one.
func timeGoal(row, other string, most float64) goal {
	return compared(row, other, fmt.Sprintf("≤ %v × the time of %s", most, other),
		func(us, them *figures) verdict {
			r, met := ratio(them, us), atMost(most)
			return verdict{
				fmt.Sprintf("%s × (%.1f µs to %.1f µs)", digits(r, met), 1e6/median(us.Rates), 1e6/median(them.Rates)),
				met(r),
			}
		})
}

// shareGoal is to have a tail that is that part of another one's.
func shareGoal(row, other string, part float64) goal {
	return compared(row, other, fmt.Sprintf("p99 ≤ 1/%v of that of %s", part, other),
		func(us, them *figures) verdict {
			r, met := them.P99/us.P99, atLeast(part)
			return verdict{
				fmt.Sprintf("1/%s (%s ms to %s ms)", digits(r, met), number(us.P99), number(them.P99)),
				met(r),
			}
		})
}

// tailGoal is a tail that is not far from the middle.
func tailGoal(row string, most float64) goal {
	return compared(row, ours, fmt.Sprintf("p99 ≤ %v × p50", most),
		func(us, _ *figures) verdict {
			r, met := us.P99/us.P50, atMost(most)
			return verdict{
				fmt.Sprintf("%s × (%s ms to %s ms)", digits(r, met), number(us.P99), number(us.P50)),
				met(r),
			}
		})
}

func commandsGoal(row string, most float64) goal {
	return compared(row, ours, fmt.Sprintf("≤ %v Redis commands per acquisition", most),
		func(us, _ *figures) verdict {
			met := atMost(most)
			return verdict{digits(us.Commands, met), met(us.Commands)}
		})
}

// spreadGoal is that an acquisition costs the same number of commands, whoever waits.
func spreadGoal(hold time.Duration) goal {
	workloads := []bench.Workload{bench.Clients8, bench.Clients32, bench.Clients128}
	const most, spread = 12, 0.1
	return goal{
		row:  "8, 32, 128 clients × 1, " + holdName(hold),
		text: fmt.Sprintf("the same Redis commands per acquisition, ± %.0f %%, ≤ %d", 100*spread, most),
		judge: func(t table) (verdict, bool) {
			var commands []float64
			var texts []string
			for _, w := range workloads {
				f := t.at(nameOf(w, bench.Background, hold), ours)
				if f == nil {
					return verdict{}, false
				}
				commands = append(commands, f.Commands)
				texts = append(texts, number(f.Commands))
			}
			middle := mean(commands)
			lowest, highest := slices.Min(commands), slices.Max(commands)
			met := lowest >= (1-spread)*middle && highest <= (1+spread)*middle && math.Round(highest*10)/10 <= most
			return verdict{strings.Join(texts, ", "), met}, true
		},
	}
}

// peersGoal is to be as fast as each other library for Go in every contended row.
func peersGoal() goal {
	return everywhere("rate at least that of every Go library", []string{"redsync", "redislock", "rueidislock"},
		ratio, atLeast(1), "%s × %s")
}

// waitGoal is a tail of a third of that of rueidislock, whose waiters sleep until the
// server tells them something, as ours do. Those of the others for Go ask again and again.
func waitGoal() goal {
	return everywhere("p99 ≤ 1/3 of that of rueidislock", []string{"rueidislock"},
		func(us, them *figures) float64 { return them.P99 / us.P99 }, atLeast(3), "1/%s of %s")
}

// everywhere returns a goal for all contended rows, against each of others but those of
// whom somebody hung there. Value is how many times as good we are, format makes a text
// of it and of the other's name.
func everywhere(text string, others []string, value func(us, them *figures) float64, met func(float64) bool, format string) goal {
	return goal{row: "every contended row", text: text, judge: func(t table) (verdict, bool) {
		worst, whose := math.Inf(1), ""
		var failures, hung []string
		for _, us := range t {
			if us.Contestant != ours || t.at(us.Row, ring) == nil || len(us.Rates) == 0 {
				continue
			}
			for _, other := range others {
				them := t.at(us.Row, other)
				if them == nil {
					continue
				}
				if them.Stuck > 0 { // it does not finish
					hung = append(hung, fmt.Sprintf("%s: %s", us.Row, other))
					continue
				}
				v := value(us, them)
				if v < worst {
					worst, whose = v, other
				}
				if !met(v) {
					failures = append(failures, us.Row+": "+fmt.Sprintf(format, digits(v, met), other))
				}
			}
		}
		if whose == "" {
			return verdict{}, false
		}
		found := verdict{strings.Join(failures, "; "), len(failures) == 0}
		if found.met {
			found.text = "at worst " + fmt.Sprintf(format, digits(worst, met), whose)
		}
		if len(hung) > 0 {
			found.text += "; not compared, because somebody hung: " + strings.Join(hung, "; ")
		}
		return found, true
	}}
}

// idleGoal is that waiters cost nothing. Who keeps the lock renews it, with one script
// per period, of four commands.
func idleGoal() goal {
	const commands = 4
	return compared(idleName, ours, "no commands while nothing changes, but one renewal of the lock per period",
		func(us, _ *figures) verdict {
			renewals := us.ScriptsPerSecond * period.Seconds()
			return verdict{
				fmt.Sprintf("%.1f commands per period, in %.1f scripts", us.CommandsPerSecond*period.Seconds(), renewals),
				math.Round(renewals) <= 1 && us.CommandsPerSecond <= commands*us.ScriptsPerSecond,
			}
		})
}

func scriptsGoal() goal {
	const batch = 100
	return compared(watchedName, ours, fmt.Sprintf("≤ 1 script per %d locks and period", batch),
		func(us, _ *figures) verdict {
			perPeriod := us.ScriptsPerSecond * period.Seconds()
			return verdict{
				fmt.Sprintf("%.2f", perPeriod*batch/watchedLocks),
				math.Round(perPeriod) <= watchedLocks/batch,
			}
		})
}

func loadGoal() goal {
	const most = 0.25
	return compared(watchedName, ours, fmt.Sprintf("< %.0f %% of a core", 100*most),
		func(us, _ *figures) verdict {
			return verdict{
				fmt.Sprintf("%.1f %% of Redis, %.1f %% of the client", 100*us.RedisLoad, 100*us.ClientLoad),
				us.RedisLoad+us.ClientLoad < most,
			}
		})
}
