package rlock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Both locks have the same hash tag, and, as with Redisson, the same public channel.
func TestLocksThatShareAHashTagAreHandedOverApart(t *testing.T) {
	for name, pair := range map[string][2]string{
		"Tag": {"orders", "{orders}"}, "TagAndMore": {"or}ders", "{or}ders}"}, "TagTwice": {"{orders}", "{orders}:"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				here, there, waiting := w.client(t), w.client(t), w.client(t)
				for _, pair := range [][2]string{pair, {pair[1], pair[0]}} {
					given := must(t)(here.NewLock(pair[0]).Lock(stranger(t)))
					kept := must(t)(there.NewLock(pair[1]).Lock(stranger(t)))
					next := later(func() attempt { return attempted(waiting.NewLock(pair[1]).Lock(stranger(t))) })
					synctest.Wait()
					require.NoError(t, given.Unlock(t.Context()))
					free := must(t)(here.NewLock(pair[0]).TryLock(stranger(t), 0))
					require.NoError(t, free.Unlock(t.Context()))
					time.Sleep(time.Second)
					require.Empty(t, next, "the other lock is still taken")
					require.NoError(t, kept.Unlock(t.Context()))
					got := await(t, next)
					require.NoError(t, got.err)
					assert.NoError(t, kept.Err())
					require.NoError(t, got.hold.Unlock(t.Context()))
					time.Sleep(2 * time.Second) // nobody listens any more
				}
			})
		})
	}
}
