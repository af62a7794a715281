package rlock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/lua"
)

var (
	// ErrNotAcquired means that somebody else had the lock for as long as TryLock
	// was allowed to wait. It is contention, never a fault: the server answered.
	ErrNotAcquired = errors.New("lock not acquired")

	// ErrNotHeld means that the caller's owner has no hold that Lock.Unlock could give
	// back. It is the counterpart of Java's IllegalMonitorStateException.
	ErrNotHeld = errors.New("lock not held by this owner")

	// ErrLost means that a hold ended before it was unlocked. It comes as a
	// *[LostError], which says why; errors.As finds it.
	ErrLost = errors.New("lock lost")

	// ErrUnavailable means that the server could not be reached, did not answer, or
	// cannot serve at the moment: it loads its data, lacks memory or replicas, or is
	// being replaced. It comes together with the error of the network or of the server,
	// which errors.Is and errors.As find too. A program may do without the lock then, or
	// try again later. A refusal that does not go away by itself, such as that of an ACL
	// or of a key of another type, is none; neither is a reply that Redis does not give, nor
	// contention, nor the end of a context.
	ErrUnavailable = errors.New("server unavailable")

	// ErrClosed is returned by every operation of a Client that was closed, and by
	// the waits that Close ends.
	ErrClosed = errors.New("client closed")
)

// errNoAnswer stands for a server that accepted a script and did not answer.
var errNoAnswer = errors.New("the server does not answer")

// A Reason says why a hold was lost.
type Reason int

const (
	// Expired means that the lease ended: its time was over, or the process did not
	// run for so long that it could not be renewed.
	Expired Reason = iota + 1
	// Removed means that the server no longer has the hold: the lock was forced
	// open, taken over, overwritten, evicted or lost with the server's data.
	Removed
	// Unreachable means that the lease ended because the server could not be asked
	// to renew it.
	Unreachable
	// ClientClosed means that Client.Close gave the hold back.
	ClientClosed
)

// String returns the reason in words.
func (r Reason) String() string {
	switch r {
	case Expired:
		return "lease expired"
	case Removed:
		return "removed or taken over"
	case Unreachable:
		return "server unreachable"
	case ClientClosed:
		return "client closed"
	}
	return fmt.Sprintf("Reason(%d)", int(r))
}

// A LostError tells why and when a hold ended before it was unlocked. It satisfies
// errors.Is(err, ErrLost), and errors.Is for Err.
type LostError struct {
	// Name is the lock's name.
	Name string
	// Reason says why.
	Reason Reason
	// Since is when this process stopped to trust the hold, or noticed the loss.
	Since time.Time
	// Err is the fault behind an Unreachable, mostly an ErrUnavailable; else nil.
	Err error
}

// Error returns the loss in words.
func (e *LostError) Error() string {
	text := fmt.Sprintf("rlock: lock %s lost: %s", quote(e.Name), e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns ErrLost and the fault behind it.
func (e *LostError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrLost}
	}
	return []error{ErrLost, e.Err}
}

// quote returns a name for an error text, shortened if it is long.
func quote(name string) string {
	const most = 100
	if len(name) > most {
		return fmt.Sprintf("%q… (%d bytes)", name[:most], len(name))
	}
	return fmt.Sprintf("%q", name)
}

// explain wraps err with what was attempted.
func explain(operation, name string, err error) error {
	return fmt.Errorf("rlock: %s %s: %w", operation, quote(name), err)
}

// A fault is an error of the server or of the way to it.
type fault struct {
	err error
	// unanswered: the script was or may have been sent, and nobody knows whether it
	// ran, is running, or will run later.
	unanswered bool
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// Is lets a fault that may go away by itself be found as ErrUnavailable.
func (f *fault) Is(target error) bool { return target == ErrUnavailable && f.passing() }

// noPermission reports whether the error is the refusal of an ACL. Of a key or a channel
// that a command names, servers say so with a code; of a command that a script calls, in
// words, which have changed.
func noPermission(err error) bool {
	var refusal *rueidis.RedisError
	if !errors.As(err, &refusal) {
		return false
	}
	text := refusal.Error()
	return strings.HasPrefix(text, "NOPERM") ||
		strings.Contains(text, "The user executing the script") || // Redis up to 7.0
		strings.Contains(text, "ACL failure in script") // Redis from 7.2 on, and Valkey
}

// classify makes a fault of an error that a script call returned.
func classify(err error) *fault {
	var (
		refusal *rueidis.RedisError
		already *fault
	)
	switch {
	case errors.As(err, &already):
		return already
	case errors.Is(err, lua.ErrReply): // whatever is in it
		return &fault{err: err, unanswered: true}
	case errors.As(err, &refusal):
		return &fault{err: err}
	case notSent(err):
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New(err.Error()) // that of the dialer, not of the caller
		}
		return &fault{err: err}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		// A limit of ours, not the caller's context: it must not look like it.
		return &fault{err: errNoAnswer, unanswered: true}
	default:
		return &fault{err: err, unanswered: true}
	}
}

// passing reports whether err is a fault that may go away by itself.
func passing(err error) bool {
	if err == nil {
		return false
	}
	var f *fault
	return errors.As(err, &f) && f.passing()
}

// passing reports whether the fault may go away by itself. A refusal does not,
// unless the server says that it is busy starting or failing over, and neither does what
// is no reply.
func (f *fault) passing() bool {
	if errors.Is(f.err, rueidis.ErrClosing) || errors.Is(f.err, ErrClosed) || errors.Is(f.err, lua.ErrReply) {
		return false
	}
	var refusal *rueidis.RedisError
	if !errors.As(f.err, &refusal) {
		return true
	}
	text := refusal.Error()
	// Redis before 7.0 says what a command in a script was told behind where that was.
	if _, said, ok := strings.Cut(text, "@user_script: "); ok {
		if _, said, ok = strings.Cut(said, ": -"); ok {
			text = said
		}
	}
	for _, prefix := range []string{"LOADING", "BUSY", "MASTERDOWN", "READONLY", "TRYAGAIN", "CLUSTERDOWN", "OOM", "MISCONF", "NOREPLICAS"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
