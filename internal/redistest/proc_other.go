//go:build !unix

package redistest

import (
	"errors"
	"os/exec"
)

// bindToParent does nothing: the system does not kill a child with its parent.
func bindToParent(*exec.Cmd) {}

func pause(*process) error  { return errors.ErrUnsupported }
func resume(*process) error { return errors.ErrUnsupported }
