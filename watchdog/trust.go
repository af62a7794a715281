package watchdog

import "time"

// Margin returns how long before its end a lease is no longer trusted: 1 % of it
// for clocks that run at different rates (the drift that the Redlock description
// assumes), 1 ms because the server counts whole milliseconds, and 1 ms for the
// timer that tells the holder; but no more than half of it, which leases of a few
// milliseconds are too short to be safe with.
func Margin(lease time.Duration) time.Duration {
	return min(lease/100+2*time.Millisecond, lease/2)
}

// A Trust is the time during which the holder of a lease may rely on it. The zero
// Trust is over. A Trust is a value; nothing changes it.
type Trust struct {
	until time.Time
}

// Since returns the trust in a lease that was asked for at the time sent, which
// must have been read before the request was sent: the server may have started to
// count at any time after it.
func Since(sent time.Time, lease time.Duration) Trust {
	return Trust{until: sent.Add(lease - Margin(lease))}
}

// Until returns the end of the trust.
func (t Trust) Until() time.Time { return t.until }

// Over reports whether the trust has ended at now. It has when either clock of now
// says so: the monotonic clock stands still while a machine is suspended, and the
// wall clock can be set back.
func (t Trust) Over(now time.Time) bool {
	return !now.Before(t.until) || !now.Round(0).Before(t.until.Round(0))
}

// Later returns whichever of the two trusts ends later.
func (t Trust) Later(u Trust) Trust {
	if u.until.After(t.until) {
		return u
	}
	return t
}
