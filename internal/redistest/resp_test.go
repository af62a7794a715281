package redistest_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

func TestFrameReadsExactlyOneValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"+OK\r\n", "-ERR no\r\n", ":7\r\n", "_\r\n", "#t\r\n", ",1.5\r\n", "(123456789012345678901\r\n",
		"$3\r\na\r\n\r\n", "$0\r\n\r\n", "$-1\r\n", "=7\r\ntxt:abc\r\n", "!5\r\nERR x\r\n",
		"*0\r\n", "*-1\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "~1\r\n+x\r\n",
		"%1\r\n+k\r\n*2\r\n:1\r\n:2\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\n0\r\n",
		"|1\r\n+k\r\n+v\r\n:1\r\n", "PING\r\n",
	} {
		r := bufio.NewReader(strings.NewReader(value + ":42\r\n"))
		got, err := redistest.Frame(r)
		require.NoError(t, err, "%q", value)
		assert.Equal(t, value, string(got))
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, ":42\r\n", string(rest), "after %q", value)
	}
}

func TestFrameRefusesWhatIsNotTheProtocol(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\n", "x\n", "$x\r\n", "*1.5\r\n"} {
		_, err := redistest.Frame(bufio.NewReader(strings.NewReader(text)))
		assert.ErrorIs(t, err, redistest.ErrFormat, "%q", text)
	}
	_, err := redistest.Frame(bufio.NewReader(strings.NewReader("*2\r\n:1\r\n")))
	assert.ErrorIs(t, err, io.EOF)
}

func TestReadReplyDecodesEveryKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		"+OK\r\n":                         "OK",
		":-7\r\n":                         int64(-7),
		"$3\r\na\r\n\r\n":                 "a\r\n",
		"$-1\r\n":                         nil,
		"*-1\r\n":                         nil,
		"*3\r\n:1\r\n$1\r\na\r\n*0\r\n":   []any{int64(1), "a", []any{}},
		"*2\r\n-ERR no\r\n$-1\r\n":        []any{redistest.ReplyError("ERR no"), nil},
		"*1\r\n*1\r\n$5\r\nhello\r\n:9\n": []any{[]any{"hello"}},
	} {
		got, err := redistest.ReadReply(bufio.NewReader(strings.NewReader(text)))
		require.NoError(t, err, "%q", text)
		assert.Equal(t, want, got, "%q", text)
	}
	_, err := redistest.ReadReply(bufio.NewReader(strings.NewReader("-WRONGTYPE no\r\n")))
	assert.Equal(t, redistest.ReplyError("WRONGTYPE no"), err)
}

func TestStatsAreParsedFromInfo(t *testing.T) {
	t.Parallel()
	assert.Equal(t, map[string]redistest.Stat{
		"evalsha":        {Calls: 3, USec: 70},
		"client|setinfo": {Calls: 2, USec: 1},
	}, redistest.ParseStats("# Commandstats\r\n"+
		"cmdstat_evalsha:calls=3,usec=70,usec_per_call=23.33,rejected_calls=0,failed_calls=1\r\n"+
		"cmdstat_client|setinfo:calls=2,usec=1,usec_per_call=0.50,rejected_calls=0,failed_calls=0\r\n"))
}
