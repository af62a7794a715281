package bench_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/bench"
)

// A clockwork is a lock that takes its time.
type clockwork struct {
	takes func(number int) time.Duration
	made  int
}

func (c *clockwork) contender() bench.Contender {
	return bench.Contender{Name: "clockwork", Open: func(string) (bench.Client, error) { return c, nil }}
}

func (c *clockwork) Mutex(string) bench.Mutex {
	c.made++
	return clockworkMutex(c.takes(c.made - 1))
}

func (c *clockwork) Close() error { return nil }

type clockworkMutex time.Duration

func (m clockworkMutex) Lock(context.Context) (bench.Held, error) {
	time.Sleep(time.Duration(m))
	return m, nil
}

func (clockworkMutex) Unlock(context.Context) error { return nil }

func TestCrewCountsWhatIsAcquiredWithinTheWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &clockwork{takes: func(number int) time.Duration {
			return time.Duration(3*(1+number))*time.Millisecond + time.Microsecond
		}}
		crew, err := bench.Assemble("", bench.Workload{Clients: 1, Goroutines: 2, Names: 1}, c.contender())
		require.NoError(t, err)
		score, err := crew.WorkFor(t.Context(), 10*time.Millisecond, time.Second, time.Millisecond)
		require.NoError(t, err)

		// The first has it after 3 ms and, the hold included, every 4 ms from then
		// on; the second after 6 and 13 ms.
		assert.Equal(t, []int{2, 1}, score.Acquired)
		assert.Equal(t, 3+2, score.All)
		assert.EqualValues(t, 5, score.Waits.TotalCount())
		assert.InEpsilon(t, 6*time.Millisecond, score.Waits.Max(), 0.01)
		assert.Zero(t, score.Stuck)
	})
}

func TestCrewTellsWhoIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &clockwork{takes: func(number int) time.Duration {
			if number == 1 {
				return time.Hour
			}
			return time.Millisecond
		}}
		crew, err := bench.Assemble("", bench.Workload{Clients: 3, Goroutines: 1, Names: 1}, c.contender())
		require.NoError(t, err)
		score, err := crew.WorkFor(t.Context(), 10*time.Millisecond, 5*time.Second, 0)
		require.NoError(t, err)

		assert.Equal(t, 1, score.Stuck)
		assert.Zero(t, score.Acquired[1])
		assert.InEpsilon(t, 5010*time.Millisecond, score.Waits.Max(), 0.01, "what it has waited so far")
		time.Sleep(time.Hour) // the bubble wants all its goroutines to end
	})
}

func TestCrewLocksThatOften(t *testing.T) {
	t.Parallel()
	c := &clockwork{takes: func(int) time.Duration { return 0 }}
	crew, err := bench.Assemble("", bench.Workload{Clients: 2, Goroutines: 3, Names: 1}, c.contender())
	require.NoError(t, err)
	for _, n := range []int{1, 5, 100} {
		score, err := crew.Work(t.Context(), n, 0)
		require.NoError(t, err)
		assert.Equal(t, n, score.All)
	}
}

func TestCrewReturnsTheFaultOfALock(t *testing.T) {
	t.Parallel()
	crew, err := bench.Assemble("", bench.Workload{Clients: 1, Goroutines: 2, Names: 1}, bench.Contender{
		Name: "broken",
		Open: func(string) (bench.Client, error) { return broken{}, nil },
	})
	require.NoError(t, err)
	_, err = crew.WorkFor(t.Context(), time.Minute, time.Second, 0)
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("broken")

type broken struct{ nothing }

func (broken) Mutex(string) bench.Mutex                 { return broken{} }
func (broken) Lock(context.Context) (bench.Held, error) { return nil, errBroken }
