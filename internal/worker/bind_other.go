//go:build unix && !linux

package worker

import "os/exec"

// bindToParent does nothing: these systems do not kill a process with its parent. One
// that is not frozen ends when its standard input does.
func bindToParent(*exec.Cmd) {}
