package rlock_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

func TestTenThousandWaitersAreServedInOrderAndCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.lock(t, "orders", on)
		hold := must(t)(lock.Lock(t.Context()))
		const n, most = 10_000, 4 << 10
		order := make(chan int, n)
		before := heap()
		for i := range n {
			enlist(t.Context(), t, lock, order, i)
		}
		assert.Less(t, (heap()-before)/n, int64(most), "bytes for each besides its stack")
		w.forget()
		time.Sleep(5 * time.Second)
		require.Empty(t, w.commands(), "while nothing changes")
		require.NoError(t, hold.Unlock(t.Context()))
		for i := range n {
			require.Equal(t, i, <-order)
		}
	})
}

func TestLocksThatAreNotUsedAnyMoreCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client := w.client(t)
		use := func(kind string, n int) {
			for i := range n {
				hold := must(t)(client.NewLock(fmt.Sprint(kind, ":", i)).Lock(t.Context()))
				require.NoError(t, hold.Unlock(t.Context()))
			}
			w.forget()
		}
		use("orders", 1000)
		const n, most = 3000, 300
		before := heap()
		use("parcels", n)
		assert.Less(t, (heap()-before)/n, int64(most), "bytes for each")
	})
}

// heap returns how many bytes live on the heap.
func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// The tickets expire by themselves, but not while the lock is held.
func TestPlacesInTheQueueLastAsLongAsTheLock(t *testing.T) {
	for name, options := range map[string][]rlock.LockOption{"Watched": nil, "Fixed": {rlock.WithLease(time.Hour)}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				hold := must(t)(w.lock(t, "orders", on).Lock(t.Context(), options...))
				order := make(chan int, 3)
				for i := range cap(order) {
					enlist(t.Context(), t, w.lock(t, "orders", on), order, i)
				}
				time.Sleep(10*time.Minute + time.Second)
				began := time.Now()
				require.NoError(t, hold.Unlock(t.Context()))
				for i := range cap(order) {
					require.Equal(t, i, <-order)
				}
				went(t, began, 0)
				synctest.Wait()
				assert.False(t, w.server.Exists("rlock_queue:{orders}"))
			})
		})
	}
}

func TestTicketsOfTheDeadExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lockTaken(t, w, rlock.WithLease(time.Minute))
		_, err := w.server.Lpush("rlock_queue:{orders}", somebody+" 1 30000")
		require.NoError(t, err)
		w.server.SetTTL("rlock_queue:{orders}", 90*time.Second)
		ctx, leave := context.WithCancel(t.Context())
		enlist(ctx, t, w.lock(t, "orders", on), make(chan int), 0)
		leave()
		time.Sleep(5 * time.Minute)
		assert.False(t, w.server.Exists("rlock_queue:{orders}"))
	})
}

func TestDeadTicketsAreSkippedHoweverManyThereAre(t *testing.T) {
	for _, dead := range []int{1, 15, 16, 17, 100} {
		t.Run(fmt.Sprint(dead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				hold := lockTaken(t, w)
				for range dead {
					_, err := w.server.Push("rlock_queue:{orders}", somebody+" 1 30000")
					require.NoError(t, err)
				}
				order := make(chan int, 2)
				enlist(t.Context(), t, w.lock(t, "orders", on), order, 0)
				enlist(t.Context(), t, w.lock(t, "orders", on), order, 1)
				began := time.Now()
				require.NoError(t, hold.Unlock(t.Context()))
				<-order
				<-order
				went(t, began, 0)
			})
		})
	}
}

// A waiter that has gone on to try, to be served, or to be handed the lock, may leave at
// the same moment.
func TestWaitersThatLeaveAtAnyMomentLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	var locks []*rlock.Lock
	name := uniqueName(t)
	for range 4 {
		locks = append(locks, newClient(t, server.Client(t), on, patient).NewLock(name))
	}
	done := make(chan struct{})
	for i := range 40 {
		go func() {
			defer func() { done <- struct{}{} }()
			for j := range 100 {
				ctx, cancel := context.WithTimeout(ownerContext(t), time.Duration((i*37+j*101)%3000)*time.Microsecond)
				if hold, err := locks[i%len(locks)].Lock(ctx); err == nil {
					assert.NoError(t, hold.Unlock(context.Background()))
				} else {
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				}
				cancel()
			}
		}()
	}
	for range 40 {
		<-done
	}
	takeAndRelease(t, newClient(t, server.Client(t)), name)
	awaitFree(t, server, name)
}

// A tool that listens to everything makes no dead client look alive, nor any client look
// like one that does not know about tickets.
func TestHandOverIsNotDisturbedByAMonitor(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	monitor := s.Client(t)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_ = monitor.Receive(t.Context(), monitor.B().Psubscribe().Pattern("*").Build(), func(rueidis.PubSubMessage) {})
	}()
	until(t, soon, "the monitor listens", func() bool { return s.Do(t, "PUBSUB", "NUMPAT") == int64(1) })
	name := uniqueName(t)
	hold, err := newClient(t, s.Client(t), on).NewLock(name).Lock(t.Context())
	require.NoError(t, err)
	s.Do(t, "RPUSH", "rlock_queue:{"+name+"}", foreign+" 1 30000")
	other := newClient(t, s.Client(t), on).NewLock(name)
	waiting := inBackground(t.Context(), func(ctx context.Context) (*rlock.Hold, error) {
		return other.Lock(ctx)
	})
	until(t, soon, "it queues", func() bool { return s.Do(t, "LLEN", "rlock_queue:{"+name+"}") == int64(2) })
	s.ResetStats(t)
	require.NoError(t, hold.Unlock(t.Context()))
	got := result(t, waiting, soon)
	require.NoError(t, got.err)
	require.NoError(t, got.hold.Unlock(t.Context()))
	assert.Zero(t, s.CommandStats(t)["pttl"].Calls, "nobody tries: the lock is handed over")
	monitor.Close()
	<-heard
}

// Where an ACL gives no more rights than a client needs that hands nothing over, it
// hands nothing over.
func TestRightsForPublicReleasesAreEnough(t *testing.T) {
	t.Parallel()
	rights := []string{
		"~" + aclPrefix + "*", "&redisson_lock__channel:*", "+eval", "+evalsha", "+subscribe", "+unsubscribe", "+ping", "+hello", "+client",
		"+hset", "+hmget", "+hgetall", "+hexists", "+exists", "+pttl", "+pexpire", "+del", "+publish",
	}
	for kind, more := range map[string][]string{
		"Nothing":  nil,
		"Keys":     {"~rlock_queue:*"},
		"Channels": {"&rlock_beacon:*", "&rlock_grant:*"},
		"Commands": strings.Fields("+hget +pubsub +time +lpop +rpush +lpos +lset +lrem +llen +lindex"),
		"NoTime":   strings.Fields("~rlock_queue:* &rlock_beacon:* &rlock_grant:* +hget +pubsub +lpop +rpush +lpos +lset +lrem +llen +lindex"),
		"NoCount":  strings.Fields("~rlock_queue:* &rlock_beacon:* &rlock_grant:* +hget +time +lpop +rpush +lpos +lset +lrem +llen +lindex"),
		"NoQueue":  strings.Fields("~rlock_queue:* &rlock_beacon:* &rlock_grant:* +hget +pubsub +time"),
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			liveThroughEverything(t, s, restricted(t, s, "frugal", append(rights, more...)...), on)
		})
	}
}

// A client may be closed before it has given back anything, and so before it knows.
func TestCloseFreesALockWhereHandingOverIsRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rights := append(documentedRights(t), "resetkeys", "~"+aclPrefix+"*") // and not those of the queues
	client := newClient(t, s.Client(t, restricted(t, s, "frugal", rights...)), on)
	hold, err := client.NewLock(aclPrefix + uniqueName(t)).Lock(t.Context())
	require.NoError(t, err)
	require.NoError(t, client.Close())
	requireLost(t, hold, rlock.ClientClosed)
	requireFree(t, s, hold.Name())
}

// The server refuses a command that a script calls after it has begun, which it does not
// say in the words in which it refuses a script's keys.
func TestUnlockFreesALockWhereACommandOfHandingOverIsRefused(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rights := documentedRights(t)
	mutate := restricted(t, s, "changing", rights...)
	log := &journal{}
	client := newClient(t, s.Client(t, mutate), on, rlock.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
	lock := client.NewLock(aclPrefix + uniqueName(t))
	s.Do(t, "ACL", "SETUSER", "changing", "-exists")
	for range 3 {
		hold, err := lock.Lock(t.Context())
		require.NoError(t, err)
		require.NoError(t, hold.Unlock(t.Context()))
		requireFree(t, s, lock.Name())
	}
	assert.Equal(t, 1, log.count("published instead"), "%s", log.text.String())
}

// What servers say when an ACL refuses a command inside a script.
func TestRefusalOfHandingOverIsRecognisedOnEveryServer(t *testing.T) {
	for name, text := range map[string]string{
		"Redis62": "ERR Error running script (call to f_0a): @user_script:25: The user executing the script can't run this command or subcommand",
		"Redis70": "ERR The user executing the script can't run this command or subcommand",
		"Redis72": "ERR ACL failure in script: User frugal has no permissions to run the 'exists' command",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				lock := w.lock(t, "orders", on)
				hold := must(t)(lock.Lock(t.Context()))
				w.deny("EXISTS", text)
				require.NoError(t, hold.Unlock(t.Context()))
				assert.False(t, w.server.Exists("orders"))
			})
		})
	}
}

// A server that cannot subscribe anybody because a script takes long does not refuse to.
func TestHandingOverGoesOnAfterAFaultOfTheChannels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		hold := lockTaken(t, w)
		w.deny("SUBSCRIBE", "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
		got := later(func() attempt { return attempted(w.lock(t, "orders", on).Lock(t.Context())) })
		time.Sleep(500 * time.Millisecond)
		w.deny("", "")
		time.Sleep(2 * time.Second)
		assert.True(t, w.server.Exists("rlock_queue:{orders}"), "the waiter has a place in the queue")
		require.NoError(t, hold.Unlock(t.Context()))
		must(t)(fields(await(t, got)))
	})
}
