//go:build unix

package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// callLimit bounds one command of a witness.
const callLimit = 20 * time.Second

// errOverlap means that two were inside at once.
var errOverlap = errors.New("two inside at once")

// A witness is the mark that one goroutine leaves on the server while it is inside,
// and the counter that it increments there. It speaks to the server on a plain
// connection of its own, one command after the other.
type witness struct {
	conn    net.Conn
	replies *bufio.Reader
	mark    string // the key of whoever is inside
	counter string
	me      string
}

// newWitness connects. Goroutine is what tells the goroutines of this process apart.
func newWitness(addr, name string, goroutine int) (*witness, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &witness{
		conn:    conn,
		replies: bufio.NewReader(conn),
		mark:    name + ":witness",
		counter: CounterKey(name),
		me:      fmt.Sprintf("%d/%d", os.Getpid(), goroutine),
	}, nil
}

func (w *witness) close() { _ = w.conn.Close() }

// enter marks that this goroutine is inside. The error is errOverlap if somebody else
// is, unless that one's process has died there.
func (w *witness) enter() error {
	reply, err := w.call("SET", w.mark, w.me, "NX")
	if err != nil || reply == "OK" {
		return err
	}
	other, err := w.call("GET", w.mark)
	if err != nil {
		return err
	}
	if !died(other) {
		return fmt.Errorf("%w: %s found %q there", errOverlap, w.me, other)
	}
	_, err = w.call("SET", w.mark, w.me)
	return err
}

// leave removes the mark. The error is errOverlap if it is somebody else's meanwhile.
func (w *witness) leave() error {
	mark, err := w.call("GETDEL", w.mark)
	if err == nil && mark != w.me {
		err = fmt.Errorf("%w: %s found %q in its place", errOverlap, w.me, mark)
	}
	return err
}

// increment adds one to the counter, in two steps that need a lock.
func (w *witness) increment() error {
	text, err := w.call("GET", w.counter)
	if err != nil {
		return err
	}
	n := 0
	if text != "" {
		if n, err = strconv.Atoi(text); err != nil {
			return err
		}
	}
	_, err = w.call("SET", w.counter, strconv.Itoa(n+1))
	return err
}

// died reports whether the process that left a mark is gone. A parent that killed it
// has seen its end long before its lease ends.
func died(mark string) bool {
	text, _, _ := strings.Cut(mark, "/")
	pid, err := strconv.Atoi(text)
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// call sends a command and returns its reply as text, empty for none.
func (w *witness) call(args ...string) (string, error) {
	if err := w.conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return "", err
	}
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := w.conn.Write(request); err != nil {
		return "", err
	}
	line, err := w.replies.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if !strings.HasPrefix(line, "$") {
		if text, refused := strings.CutPrefix(line, "-"); refused {
			return "", fmt.Errorf("%s: %s", args[0], text)
		}
		return line[1:], nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return "", err
	}
	bulk := make([]byte, n+2)
	_, err = io.ReadFull(w.replies, bulk)
	return string(bulk[:n]), err
}
