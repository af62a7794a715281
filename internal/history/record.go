package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// An Op says which operation of the library a Record is of.
type Op string

// The operations that are recorded.
const (
	Acquire Op = "acquire" // Lock, or TryLock
	Release Op = "release" // Unlock of a Hold, or of a Lock
	Count   Op = "count"   // HoldCount
	Ask     Op = "ask"     // IsLocked
	// Disturb is no operation: somebody disturbed the process that Owner begins with,
	// or all of them if it is empty, and Note says how.
	Disturb Op = "disturb"
)

// A Result is what an operation came to.
type Result string

// The results that are told apart.
const (
	Locked    Result = "locked"
	Refused   Result = "refused"   // ErrNotAcquired
	Released  Result = "released"  // Unlock returned nil
	Lost      Result = "lost"      // ErrLost, by the end of the lease
	Removed   Result = "removed"   // ErrLost, because the server no longer had the hold
	NotHeld   Result = "not held"  // ErrNotHeld, without an ErrLost
	Cancelled Result = "cancelled" // the caller's context ended
	Fault     Result = "fault"     // of the server or of the way to it
	Counted   Result = "counted"
	Taken     Result = "taken" // what IsLocked said
	Free      Result = "free"
)

// known reports whether the result tells what the operation has done on the server.
func (r Result) known() bool { return r != Cancelled && r != Fault }

// A Record is one call of the library, or one disturbance. Times are those of the machine's monotonic
// clock, in nanoseconds.
type Record struct {
	Name   string `json:"name"` // of the lock
	Owner  string `json:"owner"`
	Op     Op     `json:"op"`
	Call   int64  `json:"call"` // read before the call
	Return int64  `json:"return"`
	Result Result `json:"result"`

	// Hold is the number of the hold that was acquired or is given back; 0 for none.
	Hold int64 `json:"hold,omitempty"`
	// Seen is, of a release, the last time at which its holder was inside: one that
	// was read before the hold, asked, said that it lasts. It is 0 if there is none.
	Seen int64 `json:"seen,omitempty"`
	// Holds is what HoldCount returned.
	Holds int `json:"holds,omitempty"`
	// Bounded says of an acquisition that its wait could end without the lock.
	Bounded bool `json:"bounded,omitempty"`
	// Note is the text of a fault, or the kind of a disturbance.
	Note string `json:"note,omitempty"`
}

// ReadFile returns the records of a file.
func ReadFile(name string) ([]Record, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var records []Record
	for lines := json.NewDecoder(bufio.NewReader(f)); ; {
		var r Record
		err := lines.Decode(&r)
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("history: read %s, record %d: %w", name, len(records)+1, err)
		}
		records = append(records, r)
	}
}
