package redistest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// bindToParent makes the system kill the child when the thread that starts it
// ends, and so also when this process is killed.
func bindToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// stopped reports whether every thread of the process stands still.
func stopped(pid int) (bool, error) {
	stats, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	if err != nil {
		return false, err
	}
	for _, stat := range stats {
		line, err := os.ReadFile(stat)
		if err != nil {
			return false, err
		}
		// The name before the state is in parentheses and may hold anything.
		rest := bytes.TrimSpace(line[bytes.LastIndexByte(line, ')')+1:])
		if len(rest) == 0 || rest[0] != 'T' {
			return false, nil
		}
	}
	return len(stats) > 0, nil
}
