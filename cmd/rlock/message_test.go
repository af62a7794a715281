package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMessagesSurviveTheWire(t *testing.T) {
	for _, m := range []message{
		{kind: isReady},
		{kind: acquired, time: 1234 * time.Microsecond},
		{kind: skipped, time: 0},
		{kind: written},
		{kind: lost},
		{kind: failed, text: "dial tcp: connection refused"},
		{kind: fault, text: "read the counter: EOF"},
		{kind: done, time: time.Hour},
	} {
		got, err := decode(m.encode())
		require.NoError(t, err)
		assert.Equal(t, m, got)
	}
}

func TestMessageIsOneLine(t *testing.T) {
	line := message{kind: fault, text: "one\ntwo"}.encode()
	assert.Equal(t, "fault one; two\n", line)
}

func TestUnknownLinesAreRefused(t *testing.T) {
	for _, line := range []string{"", "\n", "hello\n", "acquired\n", "acquired soon\n"} {
		_, err := decode(line)
		require.Error(t, err, "%q", line)
	}
}

func TestTellerKeepsItsFirstError(t *testing.T) {
	reader, writer := io.Pipe()
	broken := errors.New("broken")
	require.NoError(t, reader.CloseWithError(broken))
	told := teller{out: writer}
	told.tell(message{kind: written})
	told.tell(message{kind: lost})
	require.ErrorIs(t, told.err, broken)
}

func TestReadBatchTakesWhatIsThere(t *testing.T) {
	lines := bufio.NewReader(strings.NewReader("ready\nacquired 5\nwritten\nacq"))
	messages, err := readBatch(lines)
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, []message{{kind: isReady}, {kind: acquired, time: 5 * time.Microsecond}, {kind: written}}, messages,
		"without the line that was not finished")
}

func TestReadBatchReportsWhatItCannotRead(t *testing.T) {
	messages, err := readBatch(bufio.NewReader(strings.NewReader("ready\nwhat?\nready\n")))
	require.Error(t, err)
	require.Len(t, messages, 2)
	assert.Equal(t, fault, messages[1].kind)
}
