//go:build unix

package history

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/worker"
)

func TestMain(m *testing.M) {
	worker.Main(Role)
	goleak.VerifyTestMain(m)
}

// number returns the value of an environment variable, or the default.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text, ok := os.LookupEnv(variable)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, variable)
	return n
}

// The number of operations in all is that of RLOCK_HISTORY_OPERATIONS.
func TestHistoriesAreLinearizable(t *testing.T) {
	total := int(number(t, "RLOCK_HISTORY_OPERATIONS", 102_000)) //nolint:gosec // it is small
	crews := []struct {
		name   string
		public []bool
	}{
		{"HandingOver", []bool{false}},
		{"InPublic", []bool{true}},
		{"Mixed", []bool{false, true, false}},
	}
	weathers := []struct {
		name   string
		part   int // of the total, in percent
		faults func(testing.TB, *faults, []member, uint64)
	}{
		{"Calm", 40, nil},
		{"Storm", 60, storm},
	}
	var (
		mu    sync.Mutex // protects kinds
		kinds = map[string]bool{}
	)
	t.Run("Crew", func(t *testing.T) {
		for _, crew := range crews {
			t.Run(crew.name, func(t *testing.T) {
				t.Parallel() // they wait more than they work
				for _, weather := range weathers {
					t.Run(weather.name, func(t *testing.T) {
						least := total * weather.part / 100 / len(crews)
						records := gate(least, crew.public, weather.faults).run(t)
						ofCrowds := crowded(records)
						report(t, records, ofCrowds)
						require.GreaterOrEqual(t, len(records)-len(ofCrowds), least)
						require.Greater(t, overtakings(ofCrowds), len(ofCrowds)/10, "owners were in two goroutines at once")
						judge(t, records)
						if weather.faults == nil {
							assertUndisturbed(t, records)
						}
						mu.Lock()
						defer mu.Unlock()
						maps.Copy(kinds, disturbances(records))
					})
				}
			})
		}
	})
	assert.Len(t, kinds, 11, "every kind of fault came about")
}

// disturbances returns the kinds of faults that came about.
func disturbances(records []Record) map[string]bool {
	kinds := map[string]bool{}
	for _, r := range records {
		if r.Op == Disturb {
			kinds[r.Note] = true
		}
	}
	return kinds
}

// gate returns the trial of three processes that record at least so many operations.
func gate(least int, public []bool, faults func(testing.TB, *faults, []member, uint64)) trial {
	const processes = 3
	return trial{
		processes:  processes,
		operations: least/processes + 1,
		owners:     12,
		timeouts:   []time.Duration{time.Second, 2 * time.Second, 8 * time.Second},
		public:     public,
		names:      names(16, "lock"),
		patient:    names(8, "patient"),
		crowds:     Crowds{Owners: 2, Names: names(2, "crowd"), Patient: names(2, "patient crowd")},
		long:       "long",
		linger:     4 * time.Second, // more than the first lease of a granted lock
		faults:     faults,
	}
}

// names returns as many names of locks.
func names(n int, prefix string) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(prefix, i))
	}
	return all
}

// judge requires that nothing is wrong with a history, and keeps it if something is.
func judge(t *testing.T, records []Record) {
	t.Helper()
	began := time.Now()
	overlaps, err := Overlaps(records), Check(records)
	t.Logf("judged in %v", time.Since(began).Round(time.Millisecond))
	if len(overlaps) == 0 && err == nil {
		return
	}
	t.Errorf("the history is kept in %s", keep(t, records))
	assert.Empty(t, overlaps)
	assert.NoError(t, err)
}

// keep writes records to a file that stays when the test is over, and returns its name.
func keep(t *testing.T, records []Record) string {
	t.Helper()
	f, err := os.CreateTemp("", "history-") //nolint:usetesting // it is to stay
	require.NoError(t, err)
	require.NoError(t, f.Close())
	s, err := newScribe(f.Name())
	require.NoError(t, err)
	for _, r := range records {
		s.write(r)
	}
	require.NoError(t, s.close())
	return f.Name()
}

// assertUndisturbed requires that nobody was told of a fault, except that a very short
// lease was too short.
func assertUndisturbed(t *testing.T, records []Record) {
	t.Helper()
	for _, r := range records {
		if r.Result == Fault {
			assert.Contains(t, r.Note, "shorter than the round trip")
		}
	}
}

// crowded returns what was recorded of crowds.
func crowded(records []Record) []Record {
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool { return !strings.Contains(r.Name, "crowd") })
}

// overtakings returns the number of calls that began while another one of the same
// owner was under way, which of one goroutine there are none.
func overtakings(records []Record) (n int) {
	latest := map[string]int64{}
	for _, r := range slices.SortedFunc(slices.Values(records), func(a, b Record) int { return cmp.Compare(a.Call, b.Call) }) {
		if r.Call < latest[r.Owner] {
			n++
		}
		latest[r.Owner] = max(latest[r.Owner], r.Return)
	}
	return n
}

// report logs what there is in a history.
func report(t *testing.T, records, ofCrowds []Record) {
	t.Helper()
	counts := map[string]int{}
	for _, r := range records {
		if r.Op == Disturb {
			counts[r.Note]++
			continue
		}
		counts[fmt.Sprintf("%s: %s", r.Op, r.Result)]++
	}
	var lines []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		lines = append(lines, fmt.Sprintf("%7d %s", counts[what], what))
	}
	t.Logf("%d records, %d of them of crowds, and %d of these during others of the same owner\n%s",
		len(records), len(ofCrowds), overtakings(ofCrowds), strings.Join(lines, "\n"))
}
