package rlock_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// lockTaken is a lock that somebody in another process has until it is released.
func lockTaken(t *testing.T, w *world, options ...rlock.LockOption) *rlock.Hold {
	t.Helper()
	return must(t)(w.lock(t, "orders").Lock(stranger(t), options...))
}

func TestTryLockGivesUpWhenItsWaitIsOver(t *testing.T) {
	for name, ctx := range contexts {
		for _, wait := range []time.Duration{time.Nanosecond, time.Millisecond, time.Second, 29 * time.Second, 10 * time.Minute} {
			t.Run(name+"/"+wait.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lockTaken(t, w)
					lock := w.lock(t, "orders")
					start := time.Now()
					hold, err := lock.TryLock(ctx(t), wait, rlock.WithLease(time.Hour))
					went(t, start, wait)
					require.ErrorIs(t, err, rlock.ErrNotAcquired)
					assert.Nil(t, hold)
					assert.ErrorContains(t, err, `rlock: try lock "orders": lock not acquired within `+wait.String())
				})
			})
		}
	}
}

func TestTryLockWithoutWaitAsksOnceAndSubscribesToNothing(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lockTaken(t, w)
				lock := w.lock(t, "orders")
				w.forget()
				start := time.Now()
				_, err := lock.TryLock(ctx(t), 0)
				went(t, start, 0)
				require.ErrorIs(t, err, rlock.ErrNotAcquired)
				assert.Len(t, w.commands(), 1)
			})
		})
	}
}

func TestFreeLockIsOneScriptEach(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				must(t)(lock.Lock(ctx(t)))                            // the server learns the script
				require.NoError(t, lock.Unlock(ctx(t)))               // and this one
				hold := must(t)(lock.TryLock(ctx(t), 10*time.Second)) // waits for nothing
				require.NoError(t, hold.Unlock(ctx(t)))
				w.forget()
				hold = must(t)(lock.Lock(ctx(t)))
				require.NoError(t, hold.Unlock(ctx(t)))
				assert.Len(t, w.commands(), 2)
			})
		})
	}
}

func TestWaiterIsWokenByARelease(t *testing.T) {
	for name, ctx := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				holder := lockTaken(t, w)
				lock := w.lock(t, "orders")
				start := time.Now()
				got := later(func() attempt { return attempted(lock.Lock(ctx(t))) })
				time.Sleep(7777 * time.Millisecond)
				assert.Equal(t, 1, w.listeners("orders"))
				require.NoError(t, holder.Unlock(t.Context()))
				must(t)(fields(await(t, got)))
				went(t, start, 7777*time.Millisecond)
			})
		})
	}
}

func TestWaiterIsWokenByAReleaseInItsOwnProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		holder := must(t)(lock.Lock(stranger(t)))
		start := time.Now()
		got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
		time.Sleep(5 * time.Second)
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
		went(t, start, 5*time.Second)
	})
}

func TestWaiterGetsTheLockWhenItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lockTaken(t, w, rlock.WithLease(5*time.Second))
		lock := w.lock(t, "orders")
		time.Sleep(time.Second)
		w.forget()
		start := time.Now()
		must(t)(lock.Lock(t.Context()))
		// A millisecond more, because the server counts them whole.
		went(t, start, 4*time.Second+time.Millisecond)
		assert.Len(t, w.commands("EVALSHA"), 3, "one try, one behind the subscription, one at the end of the lease")
	})
}

func TestWaiterOutlivesALeaseThatIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		holder := lockTaken(t, w)
		lock := w.lock(t, "orders")
		start := time.Now()
		got := later(func() attempt { return attempted(lock.Lock(t.Context())) })
		time.Sleep(time.Second)
		w.forget()
		time.Sleep(10*time.Minute - time.Second)
		tries := len(w.commands("EVALSHA")) - 6*10 // renewals
		assert.LessOrEqual(t, tries, 2*10+1, "one per lease at most")
		require.NoError(t, holder.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
		went(t, start, 10*time.Minute)
	})
}

func TestWaitersOfOneProcessAreServedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		holder := lockTaken(t, w)
		lock := w.lock(t, "orders")
		const waiters = 20
		order := make(chan int, waiters)
		var working sync.WaitGroup
		defer working.Wait()
		for i := range waiters {
			working.Go(func() {
				assert.NoError(t, lock.Do(t.Context(), func(context.Context) error {
					order <- i
					time.Sleep(time.Second)
					return nil
				}))
			})
			synctest.Wait()
		}
		start := time.Now()
		require.NoError(t, holder.Unlock(t.Context()))
		for i := range waiters {
			require.Equal(t, i, <-order)
			went(t, start, time.Duration(i)*time.Second)
		}
	})
}

func TestLockReturnsWhenContextIsDone(t *testing.T) {
	cause := errors.New("enough")
	ends := map[string]struct {
		begin func(context.Context) (context.Context, context.CancelFunc)
		want  []error
	}{
		"Deadline": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 5*time.Second)
			},
			[]error{context.DeadlineExceeded},
		},
		"Cancel": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(5*time.Second, cancel)
				return ctx, cancel
			},
			[]error{context.Canceled},
		},
		"Cause": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(ctx, 5*time.Second, cause)
			},
			[]error{context.DeadlineExceeded, cause},
		},
	}
	waits := map[string]func(context.Context, *rlock.Lock) (*rlock.Hold, error){
		"Lock":    func(ctx context.Context, l *rlock.Lock) (*rlock.Hold, error) { return l.Lock(ctx) },
		"TryLock": func(ctx context.Context, l *rlock.Lock) (*rlock.Hold, error) { return l.TryLock(ctx, time.Minute) },
	}
	for name, end := range ends {
		for call, wait := range waits {
			t.Run(call+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					holder := lockTaken(t, w)
					lock := w.lock(t, "orders")
					ctx, cancel := end.begin(t.Context())
					defer cancel()
					start := time.Now()
					hold, err := wait(ctx, lock)
					went(t, start, 5*time.Second)
					assert.Nil(t, hold)
					for _, want := range end.want {
						assert.ErrorIs(t, err, want)
					}
					require.NotErrorIs(t, err, rlock.ErrNotAcquired)
					synctest.Wait()
					require.NoError(t, holder.Unlock(t.Context()))
					must(t)(lock.TryLock(stranger(t), 0)) // nothing is left behind
				})
			})
		}
	}
}

func TestContextThatHasEndedAsksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.forget()
		_, err := lock.Lock(ctx)
		require.ErrorIs(t, err, context.Canceled)
		_, err = lock.TryLock(ctx, time.Second)
		require.ErrorIs(t, err, context.Canceled)
		err = lock.Do(ctx, func(context.Context) error { t.Error("was run"); return nil })
		require.ErrorIs(t, err, context.Canceled)
		_, err = lock.Inspect(ctx)
		require.ErrorIs(t, err, context.Canceled)
		assert.Empty(t, w.commands())
	})
}
