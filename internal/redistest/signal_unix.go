//go:build unix

package redistest

import (
	"context"
	"errors"
	"syscall"
)

// pause stops the process and returns when it stands still.
func pause(p *process) error { return signalUntil(p, syscall.SIGSTOP, true) }

// resume lets the process go on and returns when it does.
func resume(p *process) error { return signalUntil(p, syscall.SIGCONT, false) }

func signalUntil(p *process, signal syscall.Signal, want bool) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	return poll(ctx, pollEvery, func() (bool, error) {
		if !p.running() {
			return false, errors.New("the process has ended")
		}
		is, err := stopped(p.pid())
		return is == want, err
	})
}
