package interop_test

import (
	"time"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// limit bounds how long a test waits for anything. It is shorter than the default
// lease, so that what only the end of that lease brings about comes too late.
const limit = 20 * time.Second

// defaultWatchdog is the watchdog timeout of both sides where a test does not say
// otherwise. It is the default of both.
const defaultWatchdog = 30 * time.Second

var server *redistest.Server

const (
	handoverOn  = "HandoverOn"
	handoverOff = "HandoverOff"
)

// modes are the options with which every test runs.
var modes = map[string][]rlock.Option{
	handoverOn:  {}, // by default
	handoverOff: {rlock.WithHandover(false)},
}
