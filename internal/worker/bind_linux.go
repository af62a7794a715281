package worker

import (
	"os/exec"
	"syscall"
)

// bindToParent makes the system kill the process when the thread that starts it ends,
// and so also when this process is killed.
func bindToParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
