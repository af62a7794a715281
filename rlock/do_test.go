package rlock_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
	"github.com/go-rlock/rlock/watchdog"
)

var errWork = errors.New("work failed")

// A doing is a call that locks, runs work and unlocks.
type doing func(ctx context.Context, l *rlock.Lock, work func(context.Context) error, options ...rlock.LockOption) error

// doings are all of them.
var doings = map[string]doing{
	"Do": func(ctx context.Context, l *rlock.Lock, work func(context.Context) error, options ...rlock.LockOption) error {
		return l.Do(ctx, work, options...)
	},
	"TryDo": func(ctx context.Context, l *rlock.Lock, work func(context.Context) error, options ...rlock.LockOption) error {
		return l.TryDo(ctx, 0, work, options...)
	},
}

func TestDoWorksUnderTheLockAndGivesItBack(t *testing.T) {
	for name, want := range map[string]error{"Success": nil, "Failure": errWork} {
		for kind, ctx := range contexts {
			t.Run(name+"/"+kind, func(t *testing.T) {
				for call, do := range doings {
					t.Run(call, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := newWorld(t)
							lock := w.lock(t, "orders")
							ran := false
							err := do(ctx(t), lock, func(ctx context.Context) error {
								ran = true
								held, err := lock.IsHeld(ctx)
								require.NoError(t, err)
								assert.True(t, held)
								time.Sleep(time.Minute)
								require.NoError(t, ctx.Err())
								return want
							})
							assert.True(t, ran)
							assert.Equal(t, want != nil, errors.Is(err, errWork))
							assert.Equal(t, want == nil, err == nil)
							assert.False(t, w.server.Exists("orders"))
						})
					})
				}
			})
		}
	}
}

func TestDoGivesTheLockBackWhenWorkDoesNotReturn(t *testing.T) {
	t.Run("Panic", func(t *testing.T) {
		for call, do := range doings {
			t.Run(call, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock := w.lock(t, "orders")
					assert.PanicsWithValue(t, "oops", func() {
						_ = do(t.Context(), lock, func(context.Context) error { panic("oops") }) // it does not return
					})
					assert.False(t, w.server.Exists("orders"))
				})
			})
		}
	})
	t.Run("Goexit", func(t *testing.T) {
		for call, do := range doings {
			t.Run(call, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					lock := w.lock(t, "orders")
					done := make(chan struct{})
					go func() {
						defer close(done)
						_ = do(t.Context(), lock, func(context.Context) error { runtime.Goexit(); return nil }) // it does not return
					}()
					<-done
					assert.False(t, w.server.Exists("orders"))
				})
			})
		}
	})
}

func TestDoTellsTheWorkThatTheLockIsLost(t *testing.T) {
	for call, do := range doings {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				start := time.Now()
				err := do(t.Context(), lock, func(ctx context.Context) error {
					<-ctx.Done()
					went(t, start, time.Second-watchdog.Margin(time.Second))
					assert.Equal(t, rlock.Expired, reasonOf(context.Cause(ctx)))
					return errWork
				}, rlock.WithLease(time.Second))
				require.ErrorIs(t, err, errWork)
				require.ErrorIs(t, err, rlock.ErrLost)
				assert.Equal(t, rlock.Expired, reasonOf(err))
			})
		})
	}
}

func TestDoReportsALossThatTheWorkDidNotNotice(t *testing.T) {
	for call, do := range doings {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders")
				err := do(t.Context(), lock, func(context.Context) error {
					w.server.Del("orders")
					return nil
				})
				assert.Equal(t, rlock.Removed, reasonOf(err))
			})
		})
	}
}

func TestDosContextEndsWithItsCallersAndTheLockLastsUntilTheWorkIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(context.WithValue(t.Context(), contextKey{}, "value"), time.Second, cause)
		defer cancel()
		start := time.Now()
		err := lock.Do(ctx, func(work context.Context) error {
			assert.Equal(t, "value", work.Value(contextKey{}))
			deadline, limited := work.Deadline()
			assert.True(t, limited)
			assert.Equal(t, start.Add(time.Second), deadline)
			<-work.Done()
			went(t, start, time.Second)
			assert.Equal(t, cause, context.Cause(work))
			time.Sleep(10 * time.Minute)
			assert.True(t, w.server.Exists("orders"))
			return work.Err()
		})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, rlock.ErrLost)
		assert.False(t, w.server.Exists("orders"))
	})
}

func TestDoDoesNotRunWithoutTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lockTaken(t, w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.lock(t, "orders").Do(ctx, func(context.Context) error { t.Error("was run"); return nil })
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestTryDoWaitsForAsLongAsItIsToldAndRunsNothingWithoutTheLock(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second} {
		t.Run(wait.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				holder := lockTaken(t, w)
				lock := w.lock(t, "orders")
				start := time.Now()
				err := lock.TryDo(t.Context(), wait, func(context.Context) error { t.Error("was run"); return nil })
				require.ErrorIs(t, err, rlock.ErrNotAcquired)
				went(t, start, wait)

				time.AfterFunc(wait/2, func() { assert.NoError(t, holder.Unlock(context.Background())) })
				synctest.Wait()
				ran := false
				require.NoError(t, lock.TryDo(t.Context(), wait, func(context.Context) error { ran = true; return nil }))
				assert.True(t, ran)
				went(t, start, wait*3/2)
				synctest.Wait() // until Unlock has its answer too
			})
		})
	}
}

func TestDoNests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders")
		for name, outer := range map[string]context.Context{"Goroutine": t.Context(), "Explicit": stranger(t)} {
			err := lock.Do(outer, func(ctx context.Context) error {
				return lock.Do(ctx, func(ctx context.Context) error {
					count, err := lock.HoldCount(ctx)
					assert.Equal(t, 2, count, name)
					return err
				})
			})
			require.NoError(t, err)
			require.False(t, w.server.Exists("orders"))
		}
	})
}

// Contexts that look at holds do so while their hold's lock is handed over, too.
func TestLockIsGivenBackWhileSomebodyWaitsUnderTheContextOfItsHold(t *testing.T) {
	for name, give := range map[string]func(t *testing.T, lock *rlock.Lock, under func(context.Context)) error{
		"Hold": func(t *testing.T, lock *rlock.Lock, under func(context.Context)) error {
			t.Helper()
			hold := must(t)(lock.Lock(stranger(t)))
			under(hold.Context())
			return hold.Unlock(t.Context())
		},
		"Do": func(t *testing.T, lock *rlock.Lock, under func(context.Context)) error {
			t.Helper()
			return lock.Do(stranger(t), func(ctx context.Context) error { under(ctx); return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				synctest.Test(t, func(t *testing.T) {
					lock := newWorld(t).lock(t, "orders")
					var waiting <-chan attempt
					given := later(func() error {
						return give(t, lock, func(ctx context.Context) {
							waiting = later(func() attempt { return attempted(lock.Lock(rlock.WithOwner(ctx, rlock.NewOwner()))) })
							synctest.Wait()
						})
					})
					require.NoError(t, await(t, given))
					if got := await(t, waiting); got.err == nil {
						require.NoError(t, got.hold.Unlock(t.Context()))
					}
				})
			}
		})
	}
}

func TestContextOfWorkMayBeAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, newWorld(t).lock(t, "orders").Do(stranger(t), func(ctx context.Context) error {
			seen := map[context.Context]bool{ctx: true}
			assert.True(t, seen[ctx])
			return nil
		}))
	})
}
