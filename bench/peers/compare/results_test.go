package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestJainsIndex(t *testing.T) {
	t.Parallel()
	assert.InDelta(t, 1, jain([]int{7, 7, 7, 7}), 1e-9)
	assert.InDelta(t, 0.25, jain([]int{9, 0, 0, 0}), 1e-9)
	assert.InDelta(t, 0.9, jain([]int{1, 2}), 1e-9)
	assert.Zero(t, jain([]int{0, 0}))
}

func TestRatioIsOfTheSameRound(t *testing.T) {
	t.Parallel()
	one := &figures{Rates: []float64{10, 200, 30}} // what disturbs the second round
	other := &figures{Rates: []float64{5, 100, 15}}
	assert.InDelta(t, 2, ratio(one, other), 1e-9)
	assert.InDelta(t, 0.5, ratio(other, one), 1e-9)
}

func TestGoalsAreJudged(t *testing.T) {
	t.Parallel()
	us := &figures{Row: "row", Contestant: ours, Rates: []float64{90, 100, 110}, Rate: 100, P50: 10, P99: 20, Commands: 5.6}
	them := &figures{Row: "row", Contestant: redisson, Rates: []float64{45, 50, 55}, Rate: 50, P50: 10, P99: 90}
	measured := table{us, them}
	for _, c := range []struct {
		name  string
		goal  goal
		found string
	}{
		{"RateReached", rateGoal("row", redisson, 2), "| met |"},
		{"RateMissed", rateGoal("row", redisson, 2.1), "| not met |"},
		{"TimeReached", timeGoal("row", redisson, 0.5), "| met |"},
		{"TimeMissed", timeGoal("row", redisson, 0.4), "| not met |"},
		{"TailReached", tailGoal("row", 2), "| met |"},
		{"TailMissed", tailGoal("row", 1.9), "| not met |"},
		{"ShareReached", shareGoal("row", redisson, 4.5), "| met |"},
		{"ShareMissed", shareGoal("row", redisson, 5), "| not met |"},
		{"CommandsReached", commandsGoal("row", 5.6), "| met |"},
		{"CommandsMissed", commandsGoal("row", 5.5), "| not met |"},
		{"OtherMissing", rateGoal("row", "nobody", 2), "| – | not measured |"},
		{"RowMissing", commandsGoal("another row", 2), "| – | not measured |"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Contains(t, c.goal.line(measured), c.found)
		})
	}
}

func TestGoalForEveryContendedRowNamesThoseThatMissIt(t *testing.T) {
	t.Parallel()
	measured := table{
		{Row: "a", Contestant: ring, Rates: []float64{1}},
		{Row: "a", Contestant: ours, Rates: []float64{100}},
		{Row: "a", Contestant: "redsync", Rates: []float64{50}},
		{Row: "b", Contestant: ring, Rates: []float64{1}},
		{Row: "b", Contestant: ours, Rates: []float64{100}},
		{Row: "b", Contestant: "redsync", Rates: []float64{125}},
		{Row: "b", Contestant: "rueidislock", Rates: []float64{500}, Stuck: 1},
		{Row: "uncontended", Contestant: ours, Rates: []float64{100}},
		{Row: "uncontended", Contestant: "redsync", Rates: []float64{1000}},
	}
	assert.Contains(t, peersGoal().line(measured),
		"| b: 0.80 × redsync; not compared, because somebody hung: b: rueidislock | not met |")
	assert.Contains(t, peersGoal().line(measured[:3]), "| at worst 2.00 × redsync | met |")
	assert.Contains(t, peersGoal().line(nil), "not measured")
}

func TestGoalForTheWaitTellsPartsOfTheOthers(t *testing.T) {
	t.Parallel()
	line := func(p99 float64) string {
		return waitGoal().line(table{
			{Row: "a", Contestant: ring, Rates: []float64{1}},
			{Row: "a", Contestant: ours, Rates: []float64{1}, P99: 10},
			{Row: "a", Contestant: "rueidislock", Rates: []float64{1}, P99: p99},
		})
	}
	assert.Contains(t, line(22), "| a: 1/2.20 of rueidislock | not met |")
	assert.Contains(t, line(40), "| at worst 1/4.00 of rueidislock | met |")
}

func TestValueJustBesideTheLimitDoesNotLookAsIfItWereOnTheOtherSide(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "1.597", digits(1.597, atLeast(1.6)))
	assert.Equal(t, "1.60", digits(1.603, atLeast(1.6)))
	assert.Equal(t, "1.053", digits(1.053, atMost(1.05)))
	assert.Equal(t, "1.05", digits(1.047, atMost(1.05)))
	assert.Equal(t, "0.9996", digits(0.9996, atLeast(1)))
	assert.Equal(t, "0.84", digits(0.8386, atLeast(1)))
}

func TestGoalsTellTheMedianOfTheRounds(t *testing.T) {
	t.Parallel()
	measured := table{ // one round was disturbed, and the mean by it
		{Row: "row", Contestant: ours, Rates: []float64{8000, 8000, 8000}, Rate: 8000},
		{Row: "row", Contestant: floor, Rates: []float64{30000, 8000, 8000}, Rate: 15333},
	}
	assert.Contains(t, timeGoal("row", floor, 1.05).line(measured), "| 1.00 × (125.0 µs to 125.0 µs) | met |")
	assert.Contains(t, rateGoal("row", floor, 0.95).line(measured), "| 1.00 × (8000/s to 8000/s) | met |")
}

func TestGoalForIdleWaitersAllowsTheHolderToRenew(t *testing.T) {
	t.Parallel()
	line := func(commands, scripts float64) string {
		return idleGoal().line(table{{
			Row: idleName, Contestant: ours, Rates: []float64{0},
			CommandsPerSecond: commands, ScriptsPerSecond: scripts,
		}})
	}
	assert.Contains(t, line(0, 0), "| met |")
	assert.Contains(t, line(0.4, 0.1), "| met |")
	assert.Contains(t, line(0.5, 0.1), "| not met |")
	assert.Contains(t, line(0.8, 0.2), "| not met |")
}

func TestGoalForTheSpreadOfCommands(t *testing.T) {
	t.Parallel()
	line := func(commands ...float64) string {
		var measured table
		for i, row := range []string{"8 clients × 1, no hold", "32 clients × 1, no hold", "128 clients × 1, no hold"} {
			measured = append(measured, &figures{Row: row, Contestant: ours, Rates: []float64{1}, Commands: commands[i]})
		}
		return spreadGoal(0).line(measured)
	}
	assert.Contains(t, line(11, 11.5, 12), "| met |")
	assert.Contains(t, line(9, 11.5, 12), "| not met |", "they differ")
	assert.Contains(t, line(12.5, 12.5, 12.5), "| not met |", "they are many")
}

// The table in the README of the repository is a part of that of the results.
func TestReadmeHasTheRatiosOfTheResults(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	summary := tableOf(t, filepath.Join(root, "README.md"), "| | redisson | redisson-fair |")
	whole := tableOf(t, filepath.Join(root, "bench", "results", "README.md"), "| | redisson | redisson-fair |")
	require.Len(t, summary, len(whole))
	named := map[string][]string{"without hand-over": {oursPublic}, "floor or ring": {floor, ring}}
	for row, cells := range summary {
		for name, cell := range cells {
			names, renamed := named[name]
			if !renamed {
				names = []string{name}
			}
			var want string
			for _, name := range names {
				want += whole[row][name]
			}
			assert.Equal(t, want, cell, "%s, %s", row, name)
			assert.NotEmpty(t, cell, "%s, %s", row, name)
		}
	}
}

// tableOf returns the cells of the table in a Markdown file whose head begins so, by
// row and column.
func tableOf(t *testing.T, file, head string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	_, rest, found := strings.Cut("\n"+string(text), "\n"+head)
	require.True(t, found, "%s has no such table", file)
	body, _, _ := strings.Cut(head+rest, "\n\n")
	lines := strings.Split(body, "\n")
	split := func(line string) []string {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		return cells
	}
	columns := split(lines[0])
	cells := map[string]map[string]string{}
	for _, line := range lines[2:] {
		row := split(line)
		require.Len(t, row, len(columns), line)
		cells[row[0]] = map[string]string{}
		for i := 1; i < len(row); i++ {
			cells[row[0]][columns[i]] = row[i]
		}
	}
	return cells
}

func TestPartOfTheRowsIsDrawn(t *testing.T) {
	t.Parallel()
	for name, measured := range map[string]table{
		"none":       nil,
		"one point":  {{Row: serial, Contestant: ours, Clients: 1, Rate: 1000, P99: 0.1}},
		"one panel":  {{Row: serial, Contestant: ours, Clients: 1, Rate: 20, P99: 3}, {Row: serial, Contestant: redisson, Clients: 1, Rate: 7000, P99: 40}},
		"not a time": {{Row: serial, Contestant: ours, Clients: 1, Rate: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, results{Figures: measured}.draw(dir))
			for _, p := range pictures {
				assert.FileExists(t, filepath.Join(dir, p.file))
			}
		})
	}
}

// What is in the repository is what the figures in it say. Pictures may differ in the last
// digit of a number, by how a processor rounds.
func TestCommittedResultsAgree(t *testing.T) {
	t.Parallel()
	committed := filepath.Join("..", "..", "results")
	r, err := read(committed)
	require.NoError(t, err)
	fresh := t.TempDir()
	require.NoError(t, r.write(fresh))
	entries, err := os.ReadDir(fresh)
	require.NoError(t, err)
	assert.Len(t, entries, 2+len(pictures))
	for _, entry := range entries {
		want, err := os.ReadFile(filepath.Join(fresh, entry.Name()))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(committed, entry.Name()))
		require.NoError(t, err)
		if filepath.Ext(entry.Name()) == ".svg" {
			assert.InEpsilon(t, len(want), len(got), 0.1, entry.Name())
			continue
		}
		assert.Equal(t, string(want), string(got), entry.Name())
	}
}
