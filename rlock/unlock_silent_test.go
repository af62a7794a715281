package rlock_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// The documentation tells these times.
func TestUnlockOfASilentServerBlocksForAKnownTime(t *testing.T) {
	const grace, rueidisTimeout = 2 * time.Second, 20 * time.Second
	for name, is := range map[string]struct {
		context func(context.Context) (context.Context, context.CancelFunc)
		blocks  time.Duration
		ended   bool // the error is that of the context
	}{
		"ContextThatCannotEnd": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithoutCancel(ctx), func() {}
			}, rueidisTimeout, false,
		},
		"ContextThatDoesNotEnd": {context.WithCancel, 5 * time.Second, false},
		"ContextThatEndsMeanwhile": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, time.Second + grace, true},
		"ContextThatHasEnded": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, grace, true},
		"ContextThatEndsLate": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 4*time.Second)
		}, 5 * time.Second, true},
	} {
		for form, unlock := range map[string]func(context.Context, *rlock.Lock, *rlock.Hold) error{
			"Hold": func(ctx context.Context, _ *rlock.Lock, h *rlock.Hold) error { return h.Unlock(ctx) },
			"Lock": func(ctx context.Context, l *rlock.Lock, _ *rlock.Hold) error { return l.Unlock(ctx) },
		} {
			t.Run(name+"/"+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					rdb := w.connect(w.dialler, oneConnection, func(option *rueidis.ClientOption) { option.ConnWriteTimeout = rueidisTimeout })
					lock := w.clientOver(t, rdb, rlock.WithGracePeriod(grace)).NewLock("orders")
					hold := must(t)(lock.Lock(t.Context()))
					ctx, cancel := is.context(t.Context())
					defer cancel()
					w.hush()
					start := time.Now()
					err := unlock(ctx, lock, hold)
					went(t, start, is.blocks)
					if is.ended {
						require.ErrorIs(t, err, ctx.Err())
					} else {
						require.ErrorIs(t, err, rlock.ErrUnavailable)
					}
				})
			})
		}
	}
}
