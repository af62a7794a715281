//go:build unix && !linux

package redistest

import (
	"bytes"
	"context"
	"os/exec"
	"strconv"
)

// bindToParent does nothing: these systems do not kill a child with its parent.
func bindToParent(*exec.Cmd) {}

// stopped reports whether the process stands still.
func stopped(pid int) (bool, error) {
	out, err := exec.CommandContext(context.Background(), "ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return bytes.HasPrefix(bytes.TrimSpace(out), []byte("T")), err
}
