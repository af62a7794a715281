package rlock_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// The Redis client closes a connection on which the deadline of a command passes, under
// whatever script of ours waits there for its answer. That may be a fault, and no more. A
// cancelled context leaves the connection open.
func TestContextOfANeighboursCommandIsAFaultAtWorst(t *testing.T) {
	t.Parallel()
	const enough = 500 * time.Millisecond
	for kind, ending := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"Deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, enough)
		},
		"Cancel": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(enough, cancel)
			return ctx, cancel
		},
	} {
		for name, operation := range map[string]func(context.Context, *rlock.Lock) error{
			"Lock":    func(ctx context.Context, l *rlock.Lock) error { _, err := l.Lock(ctx); return err },
			"TryLock": func(ctx context.Context, l *rlock.Lock) error { _, err := l.TryLock(ctx, 0); return err },
			"Unlock":  func(ctx context.Context, l *rlock.Lock) error { return l.Unlock(ctx) },
			"Inspect": func(ctx context.Context, l *rlock.Lock) error { _, err := l.Inspect(ctx); return err },
		} {
			t.Run(kind+name, func(t *testing.T) {
				t.Parallel()
				s := redistest.Start(t)
				proxy := s.Proxy(t)
				rdb := s.Client(t, proxy.Use, oneConnection)
				client := newClient(t, rdb, patient)
				lock := client.NewLock(uniqueName(t))
				owner := ownerContext(t)
				_, err := lock.Lock(owner)
				require.NoError(t, err)
				s.Pause(t)
				ctx, cancel := ending(t.Context())
				defer cancel()
				sent, neighbour := passing(proxy, "neighbour"), make(chan error, 1)
				go func() { neighbour <- rdb.Do(ctx, rdb.B().Get().Key("neighbour").Build()).Error() }()
				awaitClosed(t, sent, soon, "the neighbour's command is sent")

				ours := make(chan error, 1)
				go func() { ours <- operation(owner, lock) }()
				require.Error(t, <-neighbour)
				s.Resume(t)
				err = <-ours
				if kind == "Cancel" || name == "Unlock" { // which is tried again
					require.NoError(t, err)
				}
				if err != nil {
					requireFault(t, err)
				}
				_, err = lock.ForceUnlock(t.Context())
				require.NoError(t, err)
				takeAndRelease(t, client, lock.Name())
				requireFree(t, s, lock.Name())
			})
		}
	}
}
