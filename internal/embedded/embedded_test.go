package embedded_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*embedded.Server, rueidis.Client) {
	t.Helper()
	s, err := embedded.Start()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	option, err := rueidis.ParseURL(s.URL())
	require.NoError(t, err)
	option.ForceSingleClient, option.DisableCache = true, true
	rdb, err := rueidis.NewClient(option)
	require.NoError(t, err)
	t.Cleanup(rdb.Close)
	return s, rdb
}

func exists(ctx context.Context, t require.TestingT, rdb rueidis.Client, key string) bool {
	n, err := rdb.Do(ctx, rdb.B().Exists().Key(key).Build()).AsInt64()
	require.NoError(t, err)
	return n == 1
}

func TestKeysExpireInRealTime(t *testing.T) {
	t.Parallel()
	_, rdb := start(t)
	before := time.Now()
	require.NoError(t, rdb.Do(t.Context(), rdb.B().Set().Key("k").Value("v").PxMilliseconds(100).Build()).Error())
	after := time.Now()
	for exists(t.Context(), t, rdb, "k") {
		require.Less(t, time.Since(after), 10*time.Second)
		time.Sleep(time.Millisecond)
	}
	assert.GreaterOrEqual(t, time.Since(before), 100*time.Millisecond)
}

func TestTimeStandsStillDuringAScript(t *testing.T) {
	t.Parallel()
	s, rdb := start(t)
	// A second client keeps commands arriving while scripts run.
	option, err := rueidis.ParseURL(s.URL())
	require.NoError(t, err)
	option.ForceSingleClient, option.DisableCache = true, true
	other, err := rueidis.NewClient(option)
	require.NoError(t, err)
	defer other.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() {
		for ctx.Err() == nil {
			_ = other.Do(ctx, other.B().Ping().Build()).Error()
		}
	})
	defer busy.Wait()
	defer cancel()

	script := rueidis.NewLuaScript(`
		redis.call('SET', KEYS[1], 'v', 'PX', 1)
		local first = redis.call('TIME')
		for i = 1, 20000 do redis.call('EXISTS', KEYS[1]) end
		local last = redis.call('TIME')
		return {redis.call('EXISTS', KEYS[1]), first[1] == last[1] and first[2] == last[2]}`)
	began := time.Now()
	reply, err := script.Exec(t.Context(), rdb, []string{"k"}, nil).ToArray()
	require.NoError(t, err)
	require.Greater(t, time.Since(began), time.Millisecond, "the script was too fast to prove anything")
	for _, message := range reply {
		n, err := message.AsInt64()
		require.NoError(t, err)
		assert.EqualValues(t, 1, n)
	}
	assert.Eventually(t, func() bool { return !exists(t.Context(), t, rdb, "k") }, 10*time.Second, time.Millisecond)
}

func TestServerTimeFollowsTheClock(t *testing.T) {
	t.Parallel()
	_, rdb := start(t)
	before := time.Now()
	reply, err := rdb.Do(t.Context(), rdb.B().Time().Build()).AsIntSlice()
	require.NoError(t, err)
	at := time.Unix(reply[0], reply[1]*1000)
	assert.False(t, at.Before(before.Truncate(time.Microsecond)), "%v before %v", at, before)
	assert.False(t, at.After(time.Now()))
}

func TestDedicatedConnectionReceivesMessages(t *testing.T) {
	t.Parallel()
	_, rdb := start(t)
	sub, release := rdb.Dedicate()
	defer release()
	messages := make(chan rueidis.PubSubMessage, 1)
	confirmed := make(chan rueidis.PubSubSubscription, 1)
	sub.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { messages <- m },
		OnSubscription: func(s rueidis.PubSubSubscription) { confirmed <- s },
	})
	require.NoError(t, sub.Do(t.Context(), sub.B().Subscribe().Channel("c").Build()).Error())
	<-confirmed
	require.NoError(t, rdb.Do(t.Context(), rdb.B().Publish().Channel("c").Message("0").Build()).Error())
	assert.Equal(t, rueidis.PubSubMessage{Channel: "c", Message: "0"}, <-messages)
}

func TestCloseEndsConnectionsAndMayBeRepeated(t *testing.T) {
	t.Parallel()
	s, rdb := start(t)
	require.NoError(t, rdb.Do(t.Context(), rdb.B().Ping().Build()).Error())
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	assert.Error(t, rdb.Do(t.Context(), rdb.B().Incr().Key("k").Build()).Error())
}

func TestAddrIsOnTheLoopbackInterface(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	assert.True(t, strings.HasPrefix(s.Addr(), "127.0.0.1:"), s.Addr())
	assert.Equal(t, "redis://"+s.Addr(), s.URL())
}
