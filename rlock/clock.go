package rlock

import "time"

// An anchor is a moment on both clocks: the server's was read after sent.
type anchor struct {
	sent   time.Time
	server time.Time
}

// earliest returns the first moment on our clock that the server's time at can mean,
// given that it has passed now. It is the zero time if a clock was set in between.
func (a anchor) earliest(at, now time.Time) time.Time {
	passed, elapsed := at.Sub(a.server), now.Sub(a.sent)
	if a.sent.IsZero() || passed > elapsed+time.Millisecond {
		return time.Time{}
	}
	// The clocks may run at different rates.
	return a.sent.Add(passed - elapsed/1000)
}

// anchored notes a moment on both clocks.
func (c *Client) anchored(a anchor) {
	if before := c.clock.Load(); before == nil || a.sent.After(before.sent) {
		c.clock.Store(&a)
	}
}

// wantsClock reports whether the last anchor is too old to be relied on.
func (c *Client) wantsClock() bool {
	a := c.clock.Load()
	return a == nil || time.Since(a.sent) > time.Second
}

// earliest returns the first moment on our clock that the server's time can mean.
func (c *Client) earliest(at, now time.Time) time.Time {
	if a := c.clock.Load(); a != nil {
		return a.earliest(at, now)
	}
	return time.Time{}
}
