package lua_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/lua"
)

func inspect(ctx context.Context, w world) (any, error) { return lua.Inspect(ctx, w, key) }

func TestInspectReadsAndChangesNothing(t *testing.T) {
	const s = time.Second
	seen := func(name string, there content, want lua.State) row {
		return row{name: name, before: there, run: inspect, reply: want, after: there, again: want}
	}
	fields := func(pairs ...string) map[string]string { return hash(0, pairs...).fields }
	check(t, []row{
		seen("FreeLock", nothing, lua.State{TTL: lua.Free, Fields: fields()}),
		seen("HeldLock", hash(20*s, you, "3"), lua.State{TTL: 20 * s, Fields: fields(you, "3")}),
		seen("WithoutExpiry", hash(eternal, me, "1"), lua.State{TTL: lua.Forever, Fields: fields(me, "1")}),
		seen("ReadWriteLock", hash(20*s, me, "1", you, "2", "mode", "read"),
			lua.State{TTL: 20 * s, Fields: fields(me, "1", you, "2", "mode", "read")}),
		{name: "SomethingElse", before: text(20 * s), run: inspect, err: "WRONGTYPE", after: text(20 * s)},
	})
}

func TestInspectReturnsAtMost64Fields(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			for i := range 1000 {
				w.do(t, "HSET", key, "field"+strconv.Itoa(i), "value"+strconv.Itoa(i))
			}
			state, err := lua.Inspect(t.Context(), w, key)
			require.NoError(t, err)
			assert.Len(t, state.Fields, 64)
			for field, value := range state.Fields {
				assert.Equal(t, "value"+field[len("field"):], value)
			}
		})
	}
}
