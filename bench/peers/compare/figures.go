package main

import (
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/go-rlock/rlock/bench"
)

// figures are what was measured of one contestant in one row.
type figures struct {
	Row        string `json:"row"`
	Contestant string `json:"contestant"`
	Clients    int    `json:"clients"`
	Goroutines int    `json:"goroutines"`
	Failed     string `json:"failed,omitempty"` // why the last round that failed did

	// Rates are the acquisitions per second in each round. Those of several
	// contestants in the same round belong together.
	Rates        []float64 `json:"rates,omitempty"`
	Rate         float64   `json:"rate"` // of all rounds
	Acquisitions int       `json:"acquisitions"`
	Fairness     float64   `json:"fairness"` // Jain's index over the goroutines, the mean of the rounds
	Stuck        int       `json:"stuck"`    // who was given up, in all rounds

	// Of one acquisition.
	Commands  float64 `json:"commands_per_acquisition"`
	RedisCPU  float64 `json:"redis_cpu_us_per_acquisition"`
	ClientCPU float64 `json:"client_cpu_us_per_acquisition"`
	Bytes     float64 `json:"bytes_per_acquisition"`

	// Of one second.
	CommandsPerSecond float64 `json:"commands_per_second"`
	ScriptsPerSecond  float64 `json:"scripts_per_second"`
	BytesPerSecond    float64 `json:"bytes_per_second"`
	RedisLoad         float64 `json:"redis_cores"` // processor time per time
	ClientLoad        float64 `json:"client_cores"`

	// How long somebody waited, in milliseconds.
	P50 float64 `json:"wait_p50_ms"`
	P99 float64 `json:"wait_p99_ms"`
	Max float64 `json:"wait_max_ms"`

	window    time.Duration
	waits     *hdrhistogram.Histogram
	counters  bench.Counters
	clientCPU time.Duration
	took      time.Duration
	fairness  []float64
}

func newFigures(r row, contestant string) *figures {
	return &figures{
		Row: r.name, Contestant: contestant,
		Clients: r.workload.Clients, Goroutines: r.workload.Goroutines,
		window: r.window,
		waits:  hdrhistogram.New(1, int64(10*time.Minute), 3),
	}
}

// add adds a round.
func (f *figures) add(r round) {
	acquired := 0
	for _, n := range r.answer.Acquired {
		acquired += n
	}
	f.Rates = append(f.Rates, float64(acquired)/f.window.Seconds())
	f.Acquisitions += r.answer.All
	f.Stuck += r.answer.Stuck
	f.fairness = append(f.fairness, jain(r.answer.Acquired))
	r.answer.addWaits(f.waits)
	f.counters = f.counters.Add(r.counters)
	f.clientCPU += time.Duration(r.answer.CPU) * time.Microsecond
	f.took += r.took
}

// sum computes what is computed from all rounds.
func (f *figures) sum() {
	if len(f.Rates) == 0 {
		return
	}
	f.Rate = mean(f.Rates)
	f.Fairness = mean(f.fairness)
	if n := float64(f.Acquisitions); n > 0 {
		f.Commands = float64(f.counters.Commands) / n
		f.RedisCPU = float64(f.counters.CPU.Microseconds()) / n
		f.ClientCPU = float64(f.clientCPU.Microseconds()) / n
		f.Bytes = float64(f.counters.Bytes) / n
	}
	seconds := f.took.Seconds()
	f.CommandsPerSecond = float64(f.counters.Commands) / seconds
	f.ScriptsPerSecond = float64(f.counters.Scripts) / seconds
	f.BytesPerSecond = float64(f.counters.Bytes) / seconds
	f.RedisLoad = f.counters.CPU.Seconds() / seconds
	f.ClientLoad = f.clientCPU.Seconds() / seconds
	f.P50 = milliseconds(f.waits.ValueAtPercentile(50))
	f.P99 = milliseconds(f.waits.ValueAtPercentile(99))
	f.Max = milliseconds(f.waits.Max())
}

func milliseconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e6 }

// jain returns Jain's index of fairness: 1 if everybody got the same, 1/n if one got
// everything.
func jain(shares []int) float64 {
	var sum, squares float64
	for _, s := range shares {
		sum += float64(s)
		squares += float64(s) * float64(s)
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// A table is the figures of all contestants by row.
type table []*figures

// at returns the figures of a contestant in a row, or nil if there are none.
func (t table) at(row, contestant string) *figures {
	for _, f := range t {
		if f.Row == row && f.Contestant == contestant && len(f.Rates) > 0 {
			return f
		}
	}
	return nil
}

// ratio returns how many times the rate of another contestant one has, the median of
// the rounds.
func ratio(one, other *figures) float64 {
	var ratios []float64
	for i := range min(len(one.Rates), len(other.Rates)) {
		ratios = append(ratios, one.Rates[i]/other.Rates[i])
	}
	return median(ratios)
}
