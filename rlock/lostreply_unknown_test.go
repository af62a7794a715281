package rlock_test

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// epoch lies between the numbers of one owner on the wire.
const epoch = 1 << 40

// blackout makes the outcome of the next run of the script unknown: the server runs it,
// its reply is lost, and no connection can be made any more until the returned function
// is called.
func blackout(t *testing.T, proxy *redistest.Proxy, script, name string) (end func()) {
	t.Helper()
	cut := proxy.CutReplyAfter(running(t, script, name))
	proxy.Refuse(true)
	return func() {
		t.Helper()
		awaitClosed(t, cut, soon, "the connection is cut")
		proxy.Refuse(false)
	}
}

// numberOf returns the number of the lock's only owner, which belongs to the client and
// has that many holds.
func numberOf(t *testing.T, s *redistest.Server, client *rlock.Client, name string, holds int) int64 {
	t.Helper()
	fields := holders(t, s, name)
	require.Len(t, fields, 1)
	for field, count := range fields {
		require.Equal(t, strconv.Itoa(holds), count)
		number, ok := strings.CutPrefix(field, client.ID()+":")
		require.True(t, ok, "%s belongs to another client", field)
		n, err := strconv.ParseInt(number, 10, 64)
		require.NoError(t, err)
		return n
	}
	return 0
}

func TestUnknownAcquisitionIsUndoneAndChangesTheOwnersNumber(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	for kind, step := range map[string]int64{"Goroutine": epoch, "ExplicitOwner": -epoch} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			if kind == "ExplicitOwner" {
				ctx = ownerContext(t)
			}
			proxy, client := hasty(t)
			lock, other := client.NewLock(uniqueName(t)), client.NewLock(uniqueName(t))
			before, err := other.Lock(ctx)
			require.NoError(t, err)
			number := numberOf(t, server, client, other.Name(), 1)

			for k := int64(1); k <= 3; k++ {
				end := blackout(t, proxy, "acquire", lock.Name())
				_, err := lock.Lock(ctx)
				requireFault(t, err)
				require.Equal(t, number+(k-1)*step, numberOf(t, server, client, lock.Name(), 1))
				end()
				awaitFree(t, server, lock.Name())

				hold, err := lock.TryLock(ctx, soon)
				require.NoError(t, err)
				require.Equal(t, number+k*step, numberOf(t, server, client, lock.Name(), 1))
				require.NoError(t, hold.Unlock(ctx))
			}

			// Who is an owner already stays the same one.
			again, err := other.Lock(ctx)
			require.NoError(t, err)
			require.Equal(t, number, numberOf(t, server, client, other.Name(), 2))
			require.NoError(t, again.Unlock(ctx))
			require.NoError(t, before.Unlock(ctx))
			hold, err := other.Lock(ctx)
			require.NoError(t, err)
			require.Equal(t, number+3*step, numberOf(t, server, client, other.Name(), 1))
			require.NoError(t, hold.Unlock(ctx))
		})
	}
}

// hasty returns a client that does not try for long, and the proxy on its way to the server.
func hasty(t *testing.T) (*redistest.Proxy, *rlock.Client) {
	t.Helper()
	proxy := server.Proxy(t)
	return proxy, newClient(t, server.Client(t, proxy.Use, oneConnection), rlock.WithGracePeriod(200*time.Millisecond))
}

// The caller tries again at once, while what is unknown is still unknown.
func TestOwnerTriesAgainWhileTheOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	proxy, client := hasty(t)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	end := blackout(t, proxy, "acquire", lock.Name())
	for range 3 {
		_, err := lock.Lock(ctx)
		requireFault(t, err)
	}
	end()
	hold, err := lock.TryLock(ctx, soon)
	require.NoError(t, err)
	n, err := lock.HoldCount(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, hold.Unlock(ctx))
	require.NoError(t, client.Close())
	requireFree(t, server, lock.Name())
}

func TestUnknownReentryLeavesTheOuterHoldAlone(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	proxy, client := hasty(t)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	outer, err := lock.Lock(ctx)
	require.NoError(t, err)
	number := numberOf(t, server, client, lock.Name(), 1)
	end := blackout(t, proxy, "acquire", lock.Name())
	_, err = lock.Lock(ctx)
	requireFault(t, err)
	require.Equal(t, number, numberOf(t, server, client, lock.Name(), 2))
	end()

	inner, err := lock.Lock(ctx)
	require.NoError(t, err)
	require.Equal(t, number, numberOf(t, server, client, lock.Name(), 2))
	require.NoError(t, inner.Unlock(ctx))
	require.Equal(t, number, numberOf(t, server, client, lock.Name(), 1))
	require.NoError(t, outer.Err())
	require.NoError(t, outer.Unlock(ctx))
	requireFree(t, server, lock.Name())
}

func TestUnknownReleaseThatHappenedSucceedsWhenItIsTriedAgain(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	for kind, again := range map[string]func(ctx context.Context, lock *rlock.Lock, hold *rlock.Hold) error{
		"HoldUnlock": func(ctx context.Context, _ *rlock.Lock, hold *rlock.Hold) error { return hold.Unlock(ctx) },
		"LockUnlock": func(ctx context.Context, lock *rlock.Lock, _ *rlock.Hold) error { return lock.Unlock(ctx) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			proxy, client := hasty(t)
			lock := client.NewLock(uniqueName(t))
			ctx := ownerContext(t)
			hold, err := lock.Lock(ctx)
			require.NoError(t, err)
			number := numberOf(t, server, client, lock.Name(), 1)
			end := blackout(t, proxy, "release", lock.Name())
			requireFault(t, hold.Unlock(ctx))
			requireFree(t, server, lock.Name())
			end()

			require.NoError(t, again(ctx, lock, hold))
			require.NoError(t, hold.Err())
			require.NoError(t, hold.Unlock(ctx))
			require.ErrorIs(t, lock.Unlock(ctx), rlock.ErrNotHeld)

			hold, err = lock.Lock(ctx)
			require.NoError(t, err)
			require.Equal(t, number-epoch, numberOf(t, server, client, lock.Name(), 1))
			require.NoError(t, hold.Unlock(ctx))
		})
	}
}

// Somebody else took the lock in between: the release had succeeded all the same.
func TestUnknownReleaseDoesNotTakeTheLockFromItsNextOwner(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	proxy, client := hasty(t)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	hold, err := lock.Lock(ctx)
	require.NoError(t, err)
	end := blackout(t, proxy, "release", lock.Name())
	requireFault(t, hold.Unlock(ctx))
	occupy(t, server, lock.Name(), time.Minute)
	end()
	require.NoError(t, hold.Unlock(ctx))
	require.Equal(t, map[string]string{foreign: "1"}, holders(t, server, lock.Name()))
}

// A detour is a way to the server that can be changed: what was sent on the old one
// arrives late, what is sent from then on does not.
type detour struct {
	mu    sync.Mutex
	addr  string
	conns []net.Conn
}

func (d *detour) use(option *rueidis.ClientOption) {
	option.DialCtxFn = func(ctx context.Context, _ string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		conn, err := dialer.DialContext(ctx, "tcp", d.addr)
		if err == nil {
			d.conns = append(d.conns, conn)
		}
		return conn, err
	}
}

// lead leads later connections to addr.
func (d *detour) lead(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addr = addr
}

// change closes the connections on the client's side, so that what they have sent is
// still delivered, and leads later ones to addr.
func (d *detour) change(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addr = addr
	for _, conn := range d.conns {
		_ = conn.Close()
	}
	d.conns = nil
}

// late runs operation so that two copies of its script reach the server: one in time,
// and one that has arrived when the returned function returns.
func late(t *testing.T, slow *redistest.Proxy, way *detour, match func([]byte) bool, operation func() error) (arrive func()) {
	t.Helper()
	sent := make(chan struct{})
	announce := sync.OnceFunc(func() { close(sent) })
	slow.CutRequest(func(request []byte) bool {
		if match(request) {
			announce()
		}
		return false
	})
	slow.SetDelay(time.Second)
	done := make(chan error, 1)
	go func() { done <- operation() }()
	awaitClosed(t, sent, soon, "the script is sent")
	way.change(server.Addr())
	require.NoError(t, <-done)
	return func() {
		t.Helper()
		until(t, soon, "the late copy has arrived", func() bool { return slow.Connections() == 0 })
		server.Do(t, "PING") // and the server has looked at it
	}
}

func TestLateCopyOfAReleaseFreesNobodysLock(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	slow := server.Proxy(t)
	way := &detour{addr: slow.Addr()}
	client := newClient(t, server.Client(t, way.use, oneConnection), patient)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	hold, err := lock.Lock(ctx)
	require.NoError(t, err)

	arrive := late(t, slow, way, running(t, "release", lock.Name()), func() error { return hold.Unlock(ctx) })
	requireFree(t, server, lock.Name())
	hold, err = lock.Lock(ctx)
	require.NoError(t, err)
	arrive()
	numberOf(t, server, client, lock.Name(), 1)
	require.NoError(t, hold.Unlock(ctx))
	require.NoError(t, hold.Err())
}

func TestLateCopyOfAReentryBringsNothingBack(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	slow := server.Proxy(t)
	way := &detour{addr: slow.Addr()}
	client := newClient(t, server.Client(t, way.use, oneConnection), patient)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	outer, err := lock.Lock(ctx)
	require.NoError(t, err)
	var inner *rlock.Hold
	arrive := late(t, slow, way, running(t, "acquire", lock.Name()), func() (err error) {
		inner, err = lock.Lock(ctx)
		return err
	})
	numberOf(t, server, client, lock.Name(), 2)
	require.NoError(t, inner.Unlock(ctx))
	require.NoError(t, outer.Unlock(ctx))
	arrive()
	requireFree(t, server, lock.Name())
}

// A reduced lease is stated, and a late copy states it again, although a longer one has
// been asked for since.
func TestLateCopyOfAReductionShortensNoLease(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	slow := server.Proxy(t)
	way := &detour{addr: slow.Addr()}
	const short = 9 * time.Second
	client := newClient(t, server.Client(t, way.use, oneConnection), patient, rlock.WithWatchdogTimeout(short))
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	outer, err := lock.Lock(ctx, rlock.WithLease(short))
	require.NoError(t, err)
	inner, err := lock.Lock(ctx, rlock.WithLease(time.Minute))
	require.NoError(t, err)
	arrive := late(t, slow, way, running(t, "reduce", lock.Name()), func() error { return inner.Unlock(ctx) })
	inner, err = lock.Lock(ctx, rlock.WithLease(time.Minute))
	require.NoError(t, err)
	arrive()

	awaitClosed(t, outer.Done(), short+soon, "the outer hold's lease ends")
	require.NoError(t, inner.Err())
	until(t, short, "the lock lasts for as long as the inner hold", func() bool {
		pttl, ok := server.Do(t, "PTTL", lock.Name()).(int64)
		require.True(t, ok && pttl > 0, "the lock has expired under its holder")
		return pttl > 30_000
	})
	require.NoError(t, inner.Unlock(ctx))
}

// A renewal may find out before the release is tried again.
func TestHoldWhoseUnansweredReleaseHasRunIsNotLost(t *testing.T) {
	for d := 8800 * time.Millisecond; d < 10*time.Second; d += 20 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			lock := w.clientOver(t, w.connect(w.dialler, oneConnection), off).NewLock("orders") // so that the script is sent
			hold := must(t)(lock.Lock(stranger(t)))
			time.Sleep(d) // until about a grace period before the renewal
			w.hush()
			unlocking := later(func() error { return hold.Unlock(t.Context()) })
			synctest.Wait()
			w.disconnect()
			require.ErrorIs(t, await(t, unlocking), rlock.ErrUnavailable)
			w.server.Del("orders") // as the script does
			w.repair()
			time.Sleep(300 * time.Millisecond)
			require.NoError(t, hold.Err(), d)
			require.NoError(t, hold.Unlock(t.Context()), d)
		})
	}
}

// The last Unlock gives back, too, what an earlier one was refused.
func TestHoldsThatAnUnansweredReleaseHasGivenBackAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lock := w.clientOver(t, w.connect(w.dialler, oneConnection), off).NewLock("orders")
		ctx := stranger(t)
		outer, inner := must(t)(lock.Lock(ctx)), must(t)(lock.Lock(ctx))
		w.refuse("ERR no")
		require.Error(t, inner.Unlock(ctx))
		w.repair()
		w.hush()
		unlocking := later(func() error { return outer.Unlock(ctx) })
		synctest.Wait()
		w.disconnect()
		require.ErrorIs(t, await(t, unlocking), rlock.ErrUnavailable)
		w.server.Del("orders") // as the script does
		w.repair()
		_, err := lock.ForceUnlock(ctx) // has the holds looked at
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, outer.Err())
		require.NoError(t, inner.Err())
		require.NoError(t, inner.Unlock(ctx))
	})
}

// The waiter to whom the lock went leaves before anybody knows that it did.
func TestUnknownHandOverToAWaiterThatLeavesIsUndone(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	proxy := server.Proxy(t)
	client := newClient(t, server.Client(t, proxy.Use, oneConnection),
		rlock.WithHandover(true), rlock.WithGracePeriod(4*time.Second))
	lock := client.NewLock(uniqueName(t))
	hold, err := lock.Lock(ownerContext(t))
	require.NoError(t, err)
	number := numberOf(t, server, client, lock.Name(), 1)
	label(t)
	ctx, leave := context.WithCancel(t.Context())
	waiting := inBackground(ctx, func(ctx context.Context) (*rlock.Hold, error) {
		return lock.Lock(ctx, rlock.WithLease(time.Hour))
	})
	awaitListener(t, server, lock.Name())
	awaitSleepers(t, 1)

	end := blackout(t, proxy, "hand_over", lock.Name())
	unlocked := make(chan error, 1)
	go func() { unlocked <- hold.Unlock(context.Background()) }()
	until(t, soon, "the waiter has the lock", func() bool {
		return numberOf(t, server, client, lock.Name(), 1) != number
	})
	leave()
	require.ErrorIs(t, result(t, waiting, soon).err, context.Canceled)
	requireFault(t, <-unlocked)
	end()
	awaitFree(t, server, lock.Name())
	require.NoError(t, hold.Unlock(t.Context()))
}

// A late copy of a reentry states a number of holds, of which the owner's next hold knows
// nothing.
func TestLateCopyOfAReentryIsNotTakenForTheLossOfALaterHold(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	slow := server.Proxy(t)
	way := &detour{addr: slow.Addr()}
	client := newClient(t, server.Client(t, way.use, oneConnection), patient)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	for range 2 {
		_, err := lock.Lock(ctx)
		require.NoError(t, err)
	}
	arrive := late(t, slow, way, running(t, "acquire", lock.Name()), func() error {
		_, err := lock.Lock(ctx)
		return err
	})
	for range 3 {
		require.NoError(t, lock.Unlock(ctx))
	}
	outer, err := lock.Lock(ctx)
	require.NoError(t, err)
	arrive()
	numberOf(t, server, client, lock.Name(), 1)
	inner, err := lock.Lock(ctx)
	require.NoError(t, err)
	require.NoError(t, outer.Err())
	numberOf(t, server, client, lock.Name(), 2)
	require.NoError(t, inner.Unlock(ctx))
	require.NoError(t, outer.Unlock(ctx))
	requireFree(t, server, lock.Name())
}

// The reentry has made the server's lease longer, of which nobody was told.
func TestUnknownReentryDoesNotOutliveTheOuterHold(t *testing.T) {
	t.Parallel()
	loadScripts(t, server)
	proxy, client := hasty(t)
	lock := client.NewLock(uniqueName(t))
	ctx := ownerContext(t)
	outer, err := lock.Lock(ctx, rlock.WithLease(6*time.Second))
	require.NoError(t, err)
	end := blackout(t, proxy, "acquire", lock.Name())
	_, err = lock.Lock(ctx, rlock.WithLease(time.Hour))
	requireFault(t, err)
	numberOf(t, server, client, lock.Name(), 2)
	end()
	awaitClosed(t, outer.Done(), soon, "the outer hold's lease ends")
	requireLost(t, outer, rlock.Expired)
	awaitFree(t, server, lock.Name())
}
