package rlock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/petermattis/goid"
)

// An Owner is whom a lock belongs to, within one Client: by default the goroutine
// that locks, or one made by [NewOwner] that travels in a context. The same owner
// re-enters a lock, every other owner waits. Owners can be compared with ==. The
// zero Owner is nobody.
type Owner struct {
	// id is a goroutine's id, or negative for an owner made by NewOwner, so that
	// the two never meet.
	id int64
}

var owners atomic.Int64

// NewOwner returns an owner that differs from every goroutine and from every other
// owner that this process made. It is for work that hops between goroutines and for
// holds that outlive the function that took them.
func NewOwner() Owner { return Owner{id: -owners.Add(1)} }

// String returns the number that stands for the owner on the wire, behind the
// Client's id.
func (o Owner) String() string { return strconv.FormatInt(o.id, 10) }

type ownerKey struct{}

// WithOwner returns a context under which locks belong to owner instead of the
// calling goroutine. Everybody who has the context re-enters; locking under it in
// two goroutines at once makes two holds of one owner, which do not exclude each
// other. Under the zero Owner every operation of a Lock is an error.
func WithOwner(ctx context.Context, owner Owner) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner)
}

// ownerOf returns the owner that the context names, else the calling goroutine.
func ownerOf(ctx context.Context) (Owner, error) {
	switch owner, ok := ctx.Value(ownerKey{}).(Owner); {
	case !ok:
		return Owner{id: goid.Get()}, nil
	case owner == Owner{}:
		return Owner{}, errors.New("the context's Owner is the zero Owner; use one that NewOwner returned")
	default:
		return owner, nil
	}
}

// epochStep lies between the numbers that one owner uses on the wire after script
// calls whose outcome stayed unknown. Goroutine ids stay far below it.
const epochStep = 1 << 40

// wire returns the number that stands for the owner in the given epoch.
func (o Owner) wire(epoch int64) int64 {
	if o.id < 0 {
		return o.id - epoch*epochStep
	}
	return o.id + epoch*epochStep
}

// ownerOnWire returns whom a name on the wire stands for, in whichever epoch: the zero
// Owner if it was not made by fieldOf.
func ownerOnWire(field string) Owner {
	_, number, _ := strings.Cut(field, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return Owner{}
	}
	return Owner{id: n % epochStep}
}

// checkGoroutineID compares the goroutine id that the library gets with the one
// that the runtime prints. They differ when the runtime's layout is not the one
// that the library knows; goroutines could then be taken for each other.
func checkGoroutineID() error {
	var buf [64]byte
	stack := buf[:runtime.Stack(buf[:], false)]
	fields := bytes.Fields(stack) // "goroutine 42 [running]:"
	if len(fields) < 2 {
		return fmt.Errorf("cannot read the goroutine id from %q", stack)
	}
	printed, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return fmt.Errorf("cannot read the goroutine id from %q: %w", stack, err)
	}
	if got := goid.Get(); got != printed {
		return fmt.Errorf("goroutine id is %d but the runtime says %d; this Go version needs a newer github.com/petermattis/goid", got, printed)
	}
	return nil
}
