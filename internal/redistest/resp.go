package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// A ReplyError is the text of an error reply, its code first.
type ReplyError string

// Error returns the text as the server sent it.
func (e ReplyError) Error() string { return string(e) }

// errProtocol means that bytes on a connection are not the Redis protocol.
var errProtocol = errors.New("not the Redis protocol")

// call dials addr, sends one command and reads its reply. It speaks protocol 2,
// which a connection starts with, so that the command is all the server sees.
func call(ctx context.Context, addr string, args ...string) (any, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	var request bytes.Buffer
	fmt.Fprintf(&request, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	reply, err := func() (any, error) {
		if _, err := conn.Write(request.Bytes()); err != nil {
			return nil, err
		}
		return readReply(bufio.NewReader(conn))
	}()
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return reply, err
}

// readReply reads and decodes one reply of protocol 2. An error inside an array is
// an element of it; an error that is the reply is returned as the error.
func readReply(r *bufio.Reader) (any, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	text := string(line[1 : len(line)-2])
	switch line[0] {
	case '+':
		return text, nil
	case '-':
		return nil, ReplyError(text)
	case ':':
		return strconv.ParseInt(text, 10, 64)
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, err
		}
		bulk := make([]byte, n+2)
		if _, err := io.ReadFull(r, bulk); err != nil {
			return nil, err
		}
		return string(bulk[:n]), nil
	case '*':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, err
		}
		list := make([]any, n)
		for i := range list {
			var refusal ReplyError
			element, err := readReply(r)
			switch {
			case errors.As(err, &refusal):
				list[i] = refusal
			case err != nil:
				return nil, err
			default:
				list[i] = element
			}
		}
		return list, nil
	default:
		return nil, fmt.Errorf("%w: a reply begins with %q", errProtocol, line[0])
	}
}

// readLine returns the next line with its ending. It is at least three bytes long.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: line %q", errProtocol, line)
	}
	return line, nil
}

// frame reads one whole value of either version of the protocol, a request or a
// reply, and returns its bytes as they are. An inline command, which is a line of
// text, is read as a line.
func frame(r *bufio.Reader) ([]byte, error) { return appendFrame(nil, r) }

func appendFrame(b []byte, r *bufio.Reader) ([]byte, error) {
	line, err := readLine(r)
	if err != nil {
		return b, err
	}
	b = append(b, line...)

	values := 0
	switch line[0] {
	case '$', '=', '!': // a string, a verbatim string, a long error
		n, err := length(line)
		if err != nil || n < 0 {
			return b, err
		}
		at := len(b)
		b = append(b, make([]byte, n+2)...)
		_, err = io.ReadFull(r, b[at:])
		return b, err
	case '*', '~', '>': // an array, a set, a push
		values, err = length(line)
	case '%': // a map
		values, err = length(line)
		values *= 2
	case '|': // attributes, and the value that they belong to
		values, err = length(line)
		values = 2*values + 1
	}
	for ; err == nil && values > 0; values-- {
		b, err = appendFrame(b, r)
	}
	return b, err
}

func length(line []byte) (int, error) {
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil {
		return 0, fmt.Errorf("%w: length %q", errProtocol, line)
	}
	return n, nil
}
