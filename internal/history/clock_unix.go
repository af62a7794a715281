//go:build unix

package history

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// now returns the time of the machine's monotonic clock in nanoseconds. All processes
// of a machine read the same one.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(fmt.Sprintf("history: read the monotonic clock: %v", err))
	}
	return t.Nano()
}
