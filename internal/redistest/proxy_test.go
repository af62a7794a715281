package redistest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

// command returns a rule's match for requests that contain the word.
func command(word string) func([]byte) bool {
	return func(request []byte) bool { return bytes.Contains(request, []byte(word)) }
}

// fresh deletes a key that an earlier run of the test has left on the shared server.
func fresh(t *testing.T, key string) string {
	t.Helper()
	shared.Do(t, "DEL", key)
	return key
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

// request encodes a command.
func request(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b.String()
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

// receive reads as many bytes as want has and compares.
func receive(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(conn, got)
	require.NoError(t, err, "%q", got[:n])
	require.Equal(t, want, string(got))
}

// receiveEnd reads what is left and expects the connection to be cut after want.
func receiveEnd(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got, err := io.ReadAll(conn)
	var late net.Error
	if err != nil {
		if ok := assert.ErrorAs(t, err, &late); ok {
			require.False(t, late.Timeout(), "the connection was not cut")
		}
	}
	require.Equal(t, want, string(got))
}

func waitFor(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection was not cut")
	}
}

func TestProxyPassesEverythingOn(t *testing.T) {
	t.Parallel()
	p := shared.Proxy(t)
	rdb := shared.Client(t, p.Use)
	big := strings.Repeat("\r\n*1$", 40_000)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			key := fmt.Sprintf("pass:%d", i)
			for range 3 {
				assert.NoError(t, rdb.Do(t.Context(), rdb.B().Set().Key(key).Value(big[i:]).Build()).Error())
				value, err := rdb.Do(t.Context(), rdb.B().Get().Key(key).Build()).ToString()
				assert.NoError(t, err)
				assert.True(t, value == big[i:])
			}
		})
	}
	all.Wait()
}

func TestProxyPassesMessagesOn(t *testing.T) {
	t.Parallel()
	p := shared.Proxy(t)
	rdb := shared.Client(t, p.Use)
	sub, release := rdb.Dedicate()
	defer release()
	messages := make(chan string, 1)
	confirmed := make(chan struct{}, 1)
	sub.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { messages <- m.Message },
		OnSubscription: func(rueidis.PubSubSubscription) { confirmed <- struct{}{} },
	})
	require.NoError(t, sub.Do(t.Context(), sub.B().Subscribe().Channel("pass").Build()).Error())
	<-confirmed
	shared.Do(t, "PUBLISH", "pass", "hello")
	assert.Equal(t, "hello", <-messages)
}

func TestDelayIsAddedInEachDirectionAndDoesNotQueue(t *testing.T) {
	t.Parallel()
	p := shared.Proxy(t)
	conn := dial(t, p.Addr())
	const delay, count = 100 * time.Millisecond, 200
	p.SetDelay(delay)
	began := time.Now()
	for i := range count {
		send(t, conn, request("ECHO", fmt.Sprintf("%03d", i)))
	}
	receive(t, conn, "$3\r\n000\r\n")
	assert.GreaterOrEqual(t, time.Since(began), 2*delay)
	for i := range count - 1 {
		receive(t, conn, fmt.Sprintf("$3\r\n%03d\r\n", i+1))
	}
	// One after the other they would have taken forty seconds.
	assert.Less(t, time.Since(began), count*delay/2)
}

func TestShorterDelayDoesNotOvertake(t *testing.T) {
	t.Parallel()
	p := shared.Proxy(t)
	conn := dial(t, p.Addr())
	p.SetDelay(100 * time.Millisecond)
	send(t, conn, request("ECHO", "slow"))
	send(t, conn, request("ECHO", "fast"))
	p.SetDelay(0)
	send(t, conn, request("ECHO", "last"))
	receive(t, conn, "$4\r\nslow\r\n$4\r\nfast\r\n$4\r\nlast\r\n")
}

func TestRequestOfAClientThatLeftStillArrives(t *testing.T) {
	t.Parallel()
	key := fresh(t, "left")
	p := shared.Proxy(t)
	conn := dial(t, p.Addr())
	p.SetDelay(50 * time.Millisecond)
	send(t, conn, request("SET", key, "here"))
	require.NoError(t, conn.Close())
	assert.Eventually(t, func() bool {
		value, err := shared.Call(t.Context(), "GET", key)
		return err == nil && value == "here"
	}, 10*time.Second, time.Millisecond)
	assert.Eventually(t, func() bool { return p.Connections() == 0 }, 10*time.Second, time.Millisecond)
}

func TestCutReplyLosesTheReplyOfACommandThatRan(t *testing.T) {
	t.Parallel()
	key := fresh(t, "cut:reply")
	p := shared.Proxy(t)
	conn := dial(t, p.Addr())
	cut := p.CutReplyAfter(command("INCR"))
	// In one piece: those before keep their replies, the matching one loses it.
	send(t, conn, request("ECHO", "a")+request("ECHO", "b")+request("INCR", key))
	receiveEnd(t, conn, "$1\r\na\r\n$1\r\nb\r\n")
	waitFor(t, cut)
	assert.Equal(t, "1", shared.Do(t, "GET", key))

	again := dial(t, p.Addr()) // the rule applied once
	send(t, again, request("INCR", key))
	receive(t, again, ":2\r\n")
}

func TestCutReplyDoesNotCountPushes(t *testing.T) {
	t.Parallel()
	key := fresh(t, "cut:push")
	p := shared.Proxy(t)
	conn := dial(t, p.Addr())
	send(t, conn, request("HELLO", "3", "SETNAME", "pushes"))
	hello := make([]byte, 1)
	_, err := io.ReadFull(conn, hello)
	require.NoError(t, err)
	require.Equal(t, "%", string(hello))

	cut := p.CutReplyAfter(command("INCR"))
	send(t, conn, request("SUBSCRIBE", "p1", "p2")+request("ECHO", "seen")+request("INCR", key))
	all, _ := io.ReadAll(conn)
	assert.True(t, strings.HasSuffix(string(all), "$4\r\nseen\r\n"), "%q", all)
	waitFor(t, cut)
	assert.Equal(t, "1", shared.Do(t, "GET", key))
}

func TestCutReplyIsAnErrorOfTheClient(t *testing.T) {
	t.Parallel()
	key := fresh(t, "cut:client")
	p := shared.Proxy(t)
	rdb := shared.Client(t, p.Use)
	for i := range 20 {
		cut := p.CutReplyAfter(command("INCR"))
		err := rdb.Do(t.Context(), rdb.B().Incr().Key(key).Build()).Error()
		require.Error(t, err)
		waitFor(t, cut)
		require.Equal(t, fmt.Sprint(i+1), shared.Do(t, "GET", key))
	}
}

func TestCutRequestKeepsTheCommandFromTheServer(t *testing.T) {
	t.Parallel()
	key := fresh(t, "cut:request")
	p := shared.Proxy(t)
	conn := dial(t, p.Addr())
	cut := p.CutRequest(command(key))
	send(t, conn, request("ECHO", "a"))
	receive(t, conn, "$1\r\na\r\n")
	send(t, conn, request("INCR", key))
	receiveEnd(t, conn, "")
	waitFor(t, cut)
	assert.Nil(t, shared.Do(t, "GET", key))
}

func TestCutAllCutsWhatIsThereAndRefuseWhatComes(t *testing.T) {
	t.Parallel()
	p := shared.Proxy(t)
	one, two := dial(t, p.Addr()), dial(t, p.Addr())
	for _, conn := range []net.Conn{one, two} {
		send(t, conn, request("PING"))
		receive(t, conn, "+PONG\r\n")
	}
	require.Equal(t, 2, p.Connections())

	p.Refuse(true)
	send(t, one, request("PING"))
	receive(t, one, "+PONG\r\n")
	receiveEnd(t, dial(t, p.Addr()), "")

	p.CutAll()
	receiveEnd(t, one, "")
	receiveEnd(t, two, "")

	p.Refuse(false)
	three := dial(t, p.Addr())
	send(t, three, request("PING"))
	receive(t, three, "+PONG\r\n")
}

func TestConnectionEndsWhenTheServerDoes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := s.Proxy(t)
	conn := dial(t, p.Addr())
	send(t, conn, request("PING"))
	receive(t, conn, "+PONG\r\n")
	s.Kill()
	receiveEnd(t, conn, "")
	receiveEnd(t, dial(t, p.Addr()), "") // nobody to pass it on to
	s.Restart(t)
	again := dial(t, p.Addr())
	send(t, again, request("PING"))
	receive(t, again, "+PONG\r\n")
}

func TestCloseEndsConnectionsWithALongDelay(t *testing.T) {
	t.Parallel()
	p := redistest.NewProxy(t, shared.Addr())
	conn := dial(t, p.Addr())
	send(t, conn, request("PING"))
	receive(t, conn, "+PONG\r\n")
	p.SetDelay(time.Hour)
	send(t, conn, request("PING"))
	p.Close()
	receiveEnd(t, conn, "")
	p.Close()
	_, err := new(net.Dialer).DialContext(context.WithoutCancel(t.Context()), "tcp", p.Addr())
	assert.Error(t, err)
}

func TestRandomCutsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	p := shared.Proxy(t)
	rdb := shared.Client(t, p.Use, func(o *rueidis.ClientOption) { o.PipelineMultiplex = 2 })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				_ = rdb.Do(t.Context(), rdb.B().Incr().Key("random").Build()).Error()
			}
		})
	}
	all.Go(func() {
		for i := range 20 {
			p.SetDelay(time.Duration(i%3) * time.Millisecond)
			p.CutAll()
		}
	})
	all.Wait()
	p.Close()
	assert.Zero(t, p.Connections())
}
