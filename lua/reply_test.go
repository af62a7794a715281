package lua_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	miniserver "github.com/alicebob/miniredis/v2/server"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

func resp2(o *rueidis.ClientOption) { o.AlwaysRESP2 = true }

// answering returns a client of a server that answers every script with raw.
func answering(t *testing.T, raw string) world {
	t.Helper()
	fake, client := bubble.New(t)
	w := world{client()}
	fake.Server().SetPreHook(func(c *miniserver.Peer, command string, _ ...string) bool {
		if command != "EVALSHA" {
			return false
		}
		c.WriteRaw(raw)
		return true
	})
	return w
}

// integers returns a reply of n integers, of which the one at the index is replaced by
// raw.
func integers(n, index int, raw string) string {
	values := slices.Repeat([]string{":1\r\n"}, n)
	if index < n {
		values[index] = raw
	}
	return fmt.Sprintf("*%d\r\n%s", n, strings.Join(values, ""))
}

func TestMalformedRepliesAreErrors(t *testing.T) {
	for script, is := range map[string]struct {
		values int // that it returns
		run    func(context.Context, world) (any, error)
	}{
		"acquire": {2, acquire(1, time.Second)}, "release": {2, release}, "reduce": {2, reduce(1, time.Second)},
		"force_release": {2, forceRelease}, "release_alone": {2, releaseAlone}, "hand_over": {2, handOver}, "withdraw": {2, withdraw}, "keep": {2, keep(time.Second)},
		"enqueue": {4, enqueue()}, "pass": {5, pass(lining)},
	} {
		all := is.values
		replies := map[string]string{
			"Nothing":  "_\r\n",
			"Text":     "+OK\r\n",
			"Integer":  ":1\r\n",
			"Empty":    "*0\r\n",
			"TooShort": integers(all-1, all, ""),
			"TooLong":  integers(all+1, all+1, ""),
			"Map":      "%1\r\n:1\r\n:1\r\n",
		}
		for i := range all {
			for name, raw := range map[string]string{
				"Textual": "$1\r\n1\r\n", "Nothing": "_\r\n", "Error": "-ERR inside\r\n",
				"Fraction": ",1.0\r\n", "Truth": "#t\r\n", "Array": "*1\r\n:1\r\n",
			} {
				replies[fmt.Sprintf("%sAt%d", name, i)] = integers(all, i, raw)
			}
		}
		for name, raw := range replies {
			t.Run(script+name, func(t *testing.T) {
				got, err := is.run(t.Context(), answering(t, raw))
				require.ErrorIs(t, err, lua.ErrReply)
				assert.Zero(t, got)
			})
		}
		t.Run(script+"WellFormed", func(t *testing.T) {
			_, err := is.run(t.Context(), answering(t, integers(all, all, "")))
			require.NoError(t, err)
		})
	}
}

func TestMalformedVerdictsAreErrors(t *testing.T) {
	for name, raw := range map[string]string{
		"Nothing":     "_\r\n",
		"Integer":     ":1\r\n",
		"TooFew":      "*1\r\n:1\r\n",
		"TooMany":     "*3\r\n:1\r\n:1\r\n:1\r\n",
		"Textual":     "*2\r\n:1\r\n$1\r\n1\r\n",
		"Missing":     "*2\r\n:1\r\n_\r\n",
		"EmptyText":   "*2\r\n:1\r\n$0\r\n\r\n",
		"Unknown":     "*2\r\n:1\r\n:3\r\n",
		"Negative":    "*2\r\n:-1\r\n:1\r\n",
		"ErrorInside": "*2\r\n:1\r\n-ERR inside\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			verdicts, err := lua.Renew(t.Context(), answering(t, raw), make([]lua.Renewal, 2))
			require.ErrorIs(t, err, lua.ErrReply)
			assert.Nil(t, verdicts)
		})
	}
}

func TestMalformedStatesAreErrors(t *testing.T) {
	for name, raw := range map[string]string{
		"Nothing":      "_\r\n",
		"Integer":      ":1\r\n",
		"Empty":        "*0\r\n",
		"EvenNumber":   "*2\r\n:1\r\n$1\r\na\r\n",
		"TextualTTL":   "*1\r\n$1\r\n1\r\n",
		"FieldNumber":  "*3\r\n:1\r\n:1\r\n$1\r\n1\r\n",
		"ValueNumber":  "*3\r\n:1\r\n$1\r\na\r\n:1\r\n",
		"MissingValue": "*3\r\n:1\r\n$1\r\na\r\n_\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			state, err := inspect(t.Context(), answering(t, raw))
			require.ErrorIs(t, err, lua.ErrReply)
			assert.Zero(t, state)
		})
	}
}

func TestRefusalIsARedisErrorAndSilenceIsNot(t *testing.T) {
	_, err := lua.Acquire(t.Context(), answering(t, "-READONLY You can't write against a read only replica.\r\n"), key, me, 1, time.Second)
	var refusal *rueidis.RedisError
	require.ErrorAs(t, err, &refusal)
	require.NotErrorIs(t, err, lua.ErrReply)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = lua.Acquire(ctx, answering(t, ":1\r\n"), key, me, 1, time.Second)
	require.ErrorIs(t, err, context.Canceled)
	assert.NotErrorAs(t, err, &refusal)
	assert.NotErrorIs(t, err, lua.ErrReply)
}
