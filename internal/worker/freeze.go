//go:build unix

package worker

import (
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// freeze says "freezing" and stops the whole process with SIGSTOP. When it goes on, and
// the parent has sent one byte, it looks at once and returns what it saw.
//
// It is about what a process knows that did not run for a while, before any timer has
// fired. A process that is stopped from outside, or a goroutine that waits in an
// ordinary read, is set going again by the scheduler, which lets timers fire first. So
// this goroutine keeps the only processor that there is, and both stops and reads by
// system calls of which the scheduler knows nothing: nothing else can run between the
// thaw and the look.
func (o *obedient) freeze(look func() string) string {
	pid, input := uintptr(os.Getpid()), os.Stdin.Fd()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	o.say("freezing")
	runtime.Gosched() // so that the scheduler sees no need to interrupt
	if _, _, failed := syscall.RawSyscall(syscall.SYS_KILL, pid, uintptr(syscall.SIGSTOP), 0); failed != 0 {
		return kind(failed)
	}
	for {
		var b [1]byte
		n, _, failed := syscall.RawSyscall(syscall.SYS_READ, input, uintptr(unsafe.Pointer(&b)), 1)
		switch {
		case n == 1:
			return look()
		case n == 0:
			return "error: the parent is gone"
		case failed != syscall.EINTR:
			return kind(failed)
		}
	}
}
