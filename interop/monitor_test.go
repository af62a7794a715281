package interop_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

// A monitor sees every command that a server carries out, those of scripts included.
type monitor struct {
	server   *redistest.Server
	commands chan []string // closed when the connection has ended
}

// observe starts a monitor, which ends when the test is over.
func observe(t *testing.T, s *redistest.Server) *monitor {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(context.Background(), "tcp", s.Addr())
	require.NoError(t, err)
	m := &monitor{server: s, commands: make(chan []string)}
	over := make(chan struct{})
	t.Cleanup(func() {
		close(over)
		_ = conn.Close()
		for range m.commands {
			continue
		}
	})
	lines := bufio.NewReader(conn)
	_, err = conn.Write([]byte("MONITOR\r\n"))
	require.NoError(t, err)
	greeting, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "+OK\r\n", greeting)
	go func() {
		defer close(m.commands)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case m.commands <- parseMonitored(line):
			case <-over:
				return
			}
		}
	}()
	return m
}

// parseMonitored returns the words of a line like
//
//	+1700000000.123456 [0 127.0.0.1:1234] "pexpire" "orders" "30000"
func parseMonitored(line string) (words []string) {
	_, rest, _ := strings.Cut(line, "] ")
	for {
		rest = strings.TrimLeft(rest, " \r\n")
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return words
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return words
		}
		words, rest = append(words, word), rest[len(quoted):]
	}
}

// until returns the commands up to the first that matches, and that one.
func (m *monitor) until(t *testing.T, matches func(command []string) bool) (commands [][]string) {
	t.Helper()
	give := time.NewTimer(limit)
	defer give.Stop()
	for {
		select {
		case command, ok := <-m.commands:
			require.True(t, ok, "the server has ended the connection")
			commands = append(commands, command)
			if matches(command) {
				return commands
			}
		case <-give.C:
			require.FailNow(t, "the monitor has not seen the command", "in %v", limit)
		}
	}
}

// sofar returns the commands that were carried out before the call.
func (m *monitor) sofar(t *testing.T) [][]string {
	t.Helper()
	mark := rand.Text()
	marked := make(chan struct{})
	go func() { // the server may have to wait for us to read
		defer close(marked)
		_, _ = m.server.Call(context.Background(), "ECHO", mark) // if that fails, the mark is not seen
	}()
	commands := m.until(t, func(command []string) bool {
		return len(command) == 2 && command[1] == mark
	})
	<-marked
	return commands[:len(commands)-1]
}
