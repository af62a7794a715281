package lua_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/lua"
)

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func renew(lease time.Duration) func(context.Context, world) (any, error) {
	return func(ctx context.Context, w world) (any, error) {
		return lua.Renew(ctx, w, []lua.Renewal{{Key: key, Owner: me, Lease: lease}})
	}
}

func TestRenewKeepsOnlyTheOwnersLockAndNeverShortensTheLease(t *testing.T) {
	const s = time.Second
	verdict := func(name string, before content, lease time.Duration, v lua.Verdict, after content) row {
		verdicts := []lua.Verdict{v}
		return row{name: name, before: before, run: renew(lease), reply: verdicts, after: after, again: verdicts}
	}
	unchanged := func(name string, before content, lease time.Duration, v lua.Verdict) row {
		return verdict(name, before, lease, v, before)
	}
	check(t, []row{
		verdict("Extended", hash(20*s, me, "1"), 30*s, lua.Kept, hash(30*s, me, "1")),
		verdict("NotShortened", hash(120*s, me, "3"), 30*s, lua.Kept, hash(120*s, me, "3")),
		verdict("WithoutExpiry", hash(eternal, me, "1"), 30*s, lua.Kept, hash(30*s, me, "1")),
		unchanged("FreeLock", nothing, 30*s, lua.Vanished),
		unchanged("HeldByAnother", hash(20*s, you, "1"), 30*s, lua.TakenOver),
		unchanged("HeldByAnotherForEver", hash(eternal, you, "1"), 30*s, lua.TakenOver),
		unchanged("OwnReadWriteLock", hash(20*s, me, "1", "mode", "read"), 30*s, lua.TakenOver),
		unchanged("ReadWriteLockOfAnother", hash(20*s, you, "1", "mode", "read"), 30*s, lua.TakenOver),
		unchanged("SomethingElse", text(20*s), 30*s, lua.TakenOver),
		unchanged("LookAtAnOwnLock", hash(20*s, me, "1"), 0, lua.Kept),
		unchanged("LookAtAnOwnLockWithoutExpiry", hash(eternal, me, "1"), 0, lua.Kept),
		unchanged("LookAtAFreeLock", nothing, 0, lua.Vanished),
		unchanged("LookAtALockOfAnother", hash(20*s, you, "1"), 0, lua.TakenOver),
		unchanged("LookAtSomethingElse", text(eternal), 0, lua.TakenOver),
	})
}

func TestRenewAnswersForEachLockInOrder(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			const s = time.Second
			kinds := []struct {
				before, after content
				verdict       lua.Verdict
			}{
				{hash(20*s, me, "1"), hash(30*s, me, "1"), lua.Kept},
				{text(eternal), text(eternal), lua.TakenOver},
				{hash(20*s, you, "1"), hash(20*s, you, "1"), lua.TakenOver},
				{nothing, nothing, lua.Vanished},
				{hash(20*s, me, "1", "mode", "write"), hash(20*s, me, "1", "mode", "write"), lua.TakenOver},
			}
			var (
				renewals []lua.Renewal
				want     []lua.Verdict
			)
			name := func(i int) string { return fmt.Sprintf("batch:%d", i) }
			for i := range 100 {
				w.put(t, name(i), kinds[i%len(kinds)].before)
				renewals = append(renewals, lua.Renewal{Key: name(i), Owner: me, Lease: 30 * s})
				want = append(want, kinds[i%len(kinds)].verdict)
			}
			verdicts, err := lua.Renew(t.Context(), w, renewals)
			require.NoError(t, err)
			assert.Equal(t, want, verdicts)
			for i := range 100 {
				w.requireContent(t, name(i), kinds[i%len(kinds)].after)
			}
		})
	}
}

func TestRenewUsesEachLocksOwnOwnerAndLease(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			const s = time.Second
			w.put(t, "a", hash(20*s, me, "1"))
			w.put(t, "b", hash(20*s, you, "1"))
			w.put(t, "c", hash(20*s, me, "1"))
			verdicts, err := lua.Renew(t.Context(), w, []lua.Renewal{
				{Key: "a", Owner: me, Lease: 60 * s},
				{Key: "b", Owner: you, Lease: 120 * s},
				{Key: "c", Owner: me},
				{Key: "a", Owner: you, Lease: 240 * s},
			})
			require.NoError(t, err)
			assert.Equal(t, []lua.Verdict{lua.Kept, lua.Kept, lua.Kept, lua.TakenOver}, verdicts)
			w.requireContent(t, "a", hash(60*s, me, "1"))
			w.requireContent(t, "b", hash(120*s, you, "1"))
			w.requireContent(t, "c", hash(20*s, me, "1"))
		})
	}
}

func TestRenewOfNothingAnswersNothing(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			verdicts, err := lua.Renew(t.Context(), w, nil)
			require.NoError(t, err)
			assert.Empty(t, verdicts)
		})
	}
}
