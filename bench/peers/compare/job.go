package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-rlock/rlock/bench"
)

// A job is what a worker is asked to do. It is a line of JSON, as the answers to it are:
// one when the worker is ready, one after the line "go" with what it has done, and one
// after the line "end" when it has closed its clients.
type job struct {
	Task      task   `json:"task"`
	Contender string `json:"contender"`
	Addr      string `json:"addr"`

	Clients    int           `json:"clients"`
	Goroutines int           `json:"goroutines"`
	Names      int           `json:"names"`
	Hot        int           `json:"hot"`
	Context    bench.Context `json:"context"`

	HoldMS     int64 `json:"hold_ms"`
	WarmMS     int64 `json:"warm_ms"` // before it is ready: waiters come to rest, who works gets warm
	WindowMS   int64 `json:"window_ms"`
	PatienceMS int64 `json:"patience_ms"`
}

// A task is a kind of job.
type task string

const (
	// compete is to lock and unlock as often as possible.
	compete task = "compete"
	// idle is to wait for a lock that somebody keeps all the time.
	idle task = "idle"
	// keep is to keep locks that the watchdog renews.
	keep task = "keep"
)

func (j job) workload() bench.Workload {
	return bench.Workload{Clients: j.Clients, Goroutines: j.Goroutines, Names: j.Names, Hot: j.Hot}
}

func (j job) hold() time.Duration     { return time.Duration(j.HoldMS) * time.Millisecond }
func (j job) warm() time.Duration     { return time.Duration(j.WarmMS) * time.Millisecond }
func (j job) window() time.Duration   { return time.Duration(j.WindowMS) * time.Millisecond }
func (j job) patience() time.Duration { return time.Duration(j.PatienceMS) * time.Millisecond }

// An answer is what a worker says. Only the one to "go" has figures.
type answer struct {
	Error string `json:"error,omitempty"` // why there will be no other answer

	Acquired []int      `json:"acquired,omitempty"` // as in bench.Score
	All      int        `json:"all,omitempty"`      // as in bench.Score
	Waits    [][2]int64 `json:"waits,omitempty"`    // nanoseconds, how often
	Stuck    int        `json:"stuck,omitempty"`    // as in bench.Score
	CPU      int64      `json:"cpu_us,omitempty"`   // the worker's processor time, in microseconds
}

func answerOf(s bench.Score) answer {
	a := answer{Acquired: s.Acquired, All: s.All, Stuck: s.Stuck}
	for _, bar := range s.Waits.Distribution() {
		if bar.Count > 0 {
			a.Waits = append(a.Waits, [2]int64{bar.To, bar.Count})
		}
	}
	return a
}

// addWaits adds the waits of an answer to a histogram.
func (a answer) addWaits(h *hdrhistogram.Histogram) {
	for _, wait := range a.Waits {
		_ = h.RecordValues(wait[0], wait[1]) // fails above ten minutes
	}
}
