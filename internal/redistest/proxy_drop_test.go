package redistest_test

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestProxyDropsMessages subscribes with protocol 3, in which messages are pushes.
func TestProxyDropsMessages(t *testing.T) {
	t.Parallel()
	proxy := shared.Proxy(t)
	conn := dial(t, proxy.Addr())
	send(t, conn, request("HELLO", "3")+request("SUBSCRIBE", "drops"))
	confirmed := []byte(">3\r\n$9\r\nsubscribe\r\n$5\r\ndrops\r\n:1\r\n")
	for got := []byte{}; !bytes.HasSuffix(got, confirmed); { // behind what HELLO answers
		got = append(got, 0)
		_, err := io.ReadFull(conn, got[len(got)-1:])
		require.NoError(t, err, "%q", got)
	}

	publish := func(text string) {
		t.Helper()
		require.Equal(t, int64(1), shared.Do(t, "PUBLISH", "drops", text), "the subscription is there")
	}
	push := func(text string) string {
		return ">3\r\n$7\r\nmessage\r\n$5\r\ndrops\r\n$5\r\n" + text + "\r\n"
	}
	proxy.DropMessages(func(message []byte) bool { return bytes.Contains(message, []byte("lost")) })
	publish("lost1")
	publish("kept1")
	receive(t, conn, push("kept1"))

	var seen atomic.Int32
	proxy.DropMessages(func([]byte) bool { seen.Add(1); return true })
	publish("lost2")
	send(t, conn, request("PING")+request("SUBSCRIBE", "other"))
	receive(t, conn, "+PONG\r\n>3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:2\r\n")
	assert.EqualValues(t, 1, seen.Load(), "replies and confirmations are no messages")

	proxy.DropMessages(nil)
	publish("kept2")
	receive(t, conn, push("kept2"))
}
