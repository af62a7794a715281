package watchdog_test

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/watchdog"
)

// onlyMonotonic returns t with its monotonic clock moved by d and its wall clock left
// alone, as no function of package time does.
func onlyMonotonic(t *testing.T, at time.Time, d time.Duration) time.Time {
	t.Helper()
	moved := at
	(*struct {
		wall uint64
		ext  int64 // the monotonic clock, if there is one
		loc  *time.Location
	})(unsafe.Pointer(&moved)).ext += int64(d)
	require.Equal(t, d, moved.Sub(at))
	require.True(t, moved.Round(0).Equal(at.Round(0)))
	return moved
}

func TestTrustIsOverAsSoonAsEitherClockSaysSo(t *testing.T) {
	const s = time.Second
	const lease = 10 * s
	const trusted = lease - 102*time.Millisecond
	sent := time.Now()
	trust := watchdog.Since(sent, lease)
	for _, row := range []struct {
		name            string
		monotonic, wall time.Duration // since the request was sent
		over            bool
	}{
		{"AtOnce", 0, 0, false},
		{"JustBeforeItsEnd", trusted - 1, trusted - 1, false},
		{"AtItsEnd", trusted, trusted, true},
		{"AfterIt", lease, lease, true},
		{"LongAfterIt", 1000 * time.Hour, 1000 * time.Hour, true},
		{"MachineWasSuspended", 1 * s, 3600 * s, true},
		{"MachineWasSuspendedForAMoment", 1 * s, 5 * s, false},
		{"WallClockSetForwardPastTheEnd", 0, trusted, true},
		{"WallClockSetBack", 1 * s, -3600 * s, false},
		{"WallClockSetBackAndTheTimeIsOver", trusted, -3600 * s, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			now := onlyMonotonic(t, sent.Add(row.wall), row.monotonic-row.wall)
			assert.Equal(t, row.over, trust.Over(now))
		})
	}
	t.Run("TimeWithoutAMonotonicClock", func(t *testing.T) {
		assert.False(t, trust.Over(sent.Round(0).Add(trusted-1)))
		assert.True(t, trust.Over(sent.Round(0).Add(trusted)))
	})
}

func TestZeroTrustIsOver(t *testing.T) {
	assert.True(t, watchdog.Trust{}.Over(time.Now()))
}

func TestTrustInNoLeaseIsOverAtOnce(t *testing.T) {
	sent := time.Now()
	for _, lease := range []time.Duration{-time.Second, 0} {
		assert.True(t, watchdog.Since(sent, lease).Over(sent), lease)
	}
	assert.False(t, watchdog.Since(sent, time.Millisecond).Over(sent))
}

func TestMarginIsOnePercentAndTwoMillisecondsAndAtMostHalf(t *testing.T) {
	for lease, margin := range map[time.Duration]time.Duration{
		0:                      0,
		time.Millisecond:       500 * time.Microsecond,
		4 * time.Millisecond:   2 * time.Millisecond,
		100 * time.Millisecond: 3 * time.Millisecond,
		time.Second:            12 * time.Millisecond,
		30 * time.Second:       302 * time.Millisecond,
		time.Hour:              36002 * time.Millisecond,
	} {
		assert.Equal(t, margin, watchdog.Margin(lease), lease)
	}
}

func TestUntilCountsFromTheRequest(t *testing.T) {
	sent := time.Now()
	assert.True(t, sent.Add(30*time.Second-302*time.Millisecond).Equal(watchdog.Since(sent, 30*time.Second).Until()))
}

func TestLaterIsTheTrustThatEndsLater(t *testing.T) {
	now := time.Now()
	short, long := watchdog.Since(now, time.Second), watchdog.Since(now, time.Minute)
	assert.Equal(t, long, short.Later(long))
	assert.Equal(t, long, long.Later(short))
	assert.Equal(t, long, long.Later(watchdog.Trust{}))
	assert.Equal(t, long, watchdog.Trust{}.Later(long))
	assert.Equal(t, long, long.Later(long))

	// The wall clock was set back in between: the monotonic one decides.
	renewed := watchdog.Since(onlyMonotonic(t, now.Add(-time.Hour), time.Hour+time.Second), time.Minute)
	assert.Equal(t, renewed, long.Later(renewed))
}
