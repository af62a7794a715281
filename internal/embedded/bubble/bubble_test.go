package bubble_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeyExpiresByTheBubblesClockToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		rdb := client()
		do := func(args ...string) rueidis.RedisResult {
			return rdb.Do(t.Context(), rdb.B().Arbitrary(args[0]).Args(args[1:]...).Build())
		}
		require.NoError(t, do("SET", "k", "v", "PX", "1000").Error())

		time.Sleep(999 * time.Millisecond)
		left, err := do("PTTL", "k").AsInt64()
		require.NoError(t, err)
		assert.EqualValues(t, 1, left)

		time.Sleep(time.Millisecond)
		exists, err := do("EXISTS", "k").AsInt64()
		require.NoError(t, err)
		assert.Zero(t, exists)
	})
}

func TestIdleClientOutlivesHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		rdb := client()
		require.NoError(t, rdb.Do(t.Context(), rdb.B().Set().Key("k").Value("v").Build()).Error())
		time.Sleep(3 * time.Hour)
		require.NoError(t, rdb.Do(t.Context(), rdb.B().Get().Key("k").Build()).Error())
	})
}

func TestDedicatedConnectionReceivesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		rdb := client()
		sub, release := rdb.Dedicate()
		defer release()

		messages := make(chan rueidis.PubSubMessage, 1)
		confirmed := make(chan rueidis.PubSubSubscription, 2)
		broken := sub.SetPubSubHooks(rueidis.PubSubHooks{
			OnMessage:      func(m rueidis.PubSubMessage) { messages <- m },
			OnSubscription: func(s rueidis.PubSubSubscription) { confirmed <- s },
		})
		require.NoError(t, sub.Do(t.Context(), sub.B().Subscribe().Channel("c").Build()).Error())
		assert.Equal(t, "subscribe", (<-confirmed).Kind)

		heard, err := rdb.Do(t.Context(), rdb.B().Publish().Channel("c").Message("0").Build()).AsInt64()
		require.NoError(t, err)
		assert.EqualValues(t, 1, heard)
		assert.Equal(t, rueidis.PubSubMessage{Channel: "c", Message: "0"}, <-messages)

		time.Sleep(time.Hour) // pings of the connection are answered in the subscribed state
		require.NoError(t, sub.Do(t.Context(), sub.B().Unsubscribe().Channel("c").Build()).Error())
		assert.Equal(t, "unsubscribe", (<-confirmed).Kind)
		select {
		case err := <-broken:
			assert.NoError(t, err)
		default:
		}
	})
}

func TestClosingTheServerCutsConnectionsAndKeepsData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := bubble.New(t)
		rdb := client()
		require.NoError(t, rdb.Do(t.Context(), rdb.B().Set().Key("k").Value("v").Build()).Error())
		sub, release := rdb.Dedicate()
		defer release()
		broken := sub.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(rueidis.PubSubMessage) {}})
		require.NoError(t, sub.Do(t.Context(), sub.B().Subscribe().Channel("c").Build()).Error())

		server.Close()
		assert.Error(t, <-broken)
		value, err := rdb.Do(t.Context(), rdb.B().Get().Key("k").Build()).ToString()
		require.NoError(t, err) // a read, which the client repeats on a new connection
		assert.Equal(t, "v", value)
	})
}

func TestAWrappedDialCanFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		server, client := bubble.New(t)
		rdb := client(func(o *rueidis.ClientOption) {
			o.DisableRetry = true
			dial := o.DialCtxFn
			o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
				if down {
					return nil, errors.New("down")
				}
				return dial(ctx, addr, d, c)
			}
		})
		down = true
		server.Close()
		err := io.EOF
		for errors.Is(err, io.EOF) { // of the old connections
			err = rdb.Do(t.Context(), rdb.B().Get().Key("k").Build()).Error()
		}
		assert.ErrorContains(t, err, "down")
	})
}

func TestManyCommandsInOneWriteDoNotDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		rdb := client()
		var commands rueidis.Commands
		for i := range 1000 {
			commands = append(commands, rdb.B().Echo().Message(strings.Repeat(fmt.Sprint(i%10), 200)).Build())
		}
		for i, reply := range rdb.DoMulti(t.Context(), commands...) {
			text, err := reply.ToString()
			require.NoError(t, err)
			require.Equal(t, strings.Repeat(fmt.Sprint(i%10), 200), text)
		}
	})
}

func TestScriptsRunAsOnRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		rdb := client()
		script := rueidis.NewLuaScript(`
			redis.call('HSET', KEYS[1], ARGV[1], 2)
			redis.call('PEXPIRE', KEYS[1], ARGV[2])
			local said = redis.pcall('PUBLISH', KEYS[2], '0')
			local time = redis.call('TIME')
			local n = tonumber(redis.call('HGET', KEYS[1], ARGV[1]))
			return {n, redis.call('PTTL', KEYS[1]), said, #time, redis.call('PTTL', 'none')}`)
		for range 2 { // EVALSHA and NOSCRIPT, then EVALSHA
			reply, err := script.Exec(t.Context(), rdb, []string{"k", "c"}, []string{"me", "30000"}).AsIntSlice()
			require.NoError(t, err)
			assert.Equal(t, []int64{2, 30000, 0, 2, -2}, reply)
		}
	})
}

func TestClosedConnectionRefusesWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conn net.Conn
		_, client := bubble.New(t)
		client(func(o *rueidis.ClientOption) {
			dial := o.DialCtxFn
			o.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
				var err error
				conn, err = dial(ctx, addr, d, c)
				return conn, err
			}
		})
		require.NoError(t, conn.Close())
		_, err := conn.Write([]byte("x"))
		assert.ErrorIs(t, err, io.ErrClosedPipe)
	})
}
