package rlock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/internal/embedded"
	"github.com/go-rlock/rlock/rlock"
)

// start starts a server and returns its address.
func start() (address string, stop func()) {
	server, err := embedded.Start()
	if err != nil {
		panic(err)
	}
	return server.Addr(), func() { _ = server.Close() }
}

// open returns a client of a server of its own.
func open() (client *rlock.Client, closeAll func()) {
	address, stop := start()
	rdb, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		panic(err)
	}
	client, err = rlock.New(rdb)
	if err != nil {
		panic(err)
	}
	return client, func() {
		_ = client.Close()
		rdb.Close()
		stop()
	}
}

func Example() {
	address, stop := start() // "localhost:6379", say
	defer stop()
	rdb, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:       []string{address},
		ForceSingleClient: true, // for the server of this example, as the following
		DisableCache:      true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rdb.Close()
	client, err := rlock.New(rdb)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close() }()

	ctx := context.Background()
	hold, err := client.NewLock("orders:42").Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = hold.Unlock(ctx) }()
	fmt.Println("working on", hold.Name())
	// Output: working on orders:42
}

// One client per process and server is enough. Each is somebody else to the others.
func ExampleClient() {
	address, stop := start()
	defer stop()
	rdb, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rdb.Close()
	ours, err := rlock.New(rdb)
	if err != nil {
		fmt.Println(err)
		return
	}
	theirs, err := rlock.New(rdb)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = theirs.Close() }()

	ctx := context.Background()
	if _, err := ours.NewLock("orders").Lock(ctx); err != nil {
		fmt.Println(err)
	}
	_, err = theirs.NewLock("orders").TryLock(ctx, 0)
	fmt.Println("taken:", errors.Is(err, rlock.ErrNotAcquired))

	// Close gives back what is still locked.
	if err := ours.Close(); err != nil {
		fmt.Println(err)
	}
	_, err = theirs.NewLock("orders").TryLock(ctx, 0)
	fmt.Println("free:", err == nil)
	// Output:
	// taken: true
	// free: true
}

// Options are checked where they are given.
func ExampleOption() {
	address, stop := start()
	defer stop()
	rdb, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rdb.Close()

	client, err := rlock.New(rdb,
		rlock.WithWatchdogTimeout(10*time.Second), // a lock is free 10 s after its process died
		rlock.WithGracePeriod(3*time.Second),      // waits survive a failover of 3 s
		rlock.WithTurns(1, 7),                     // processes take turns, however many wait in each
		rlock.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close() }()

	_, err = rlock.New(rdb, rlock.WithWatchdogTimeout(10)) // nanoseconds
	fmt.Println(err)
	// Output: rlock: new client: watchdog timeout is 10ns; it must be from 1ms to 876000h0m0s
}

// The owner of a lock may lock it again; everybody else waits until it has given back
// all of its holds.
func ExampleLock() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()
	orders := client.NewLock("orders")

	outer, err := orders.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	inner, err := orders.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, hold := range []*rlock.Hold{outer, inner} { // in any order
		count, _ := orders.HoldCount(ctx)
		fmt.Println("holds:", count)
		if err := hold.Unlock(ctx); err != nil {
			fmt.Println(err)
		}
	}
	locked, _ := orders.IsLocked(ctx)
	fmt.Println("locked:", locked)
	// Output:
	// holds: 2
	// holds: 1
	// locked: false
}

// A time limit on the context limits the wait, not the work.
func ExampleLock_Lock() {
	client, closeAll := open()
	defer closeAll()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	hold, err := client.NewLock("orders").Lock(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("somebody else had it all the time")
		return
	case err != nil:
		fmt.Println("the server cannot be asked:", err)
		return
	}
	defer func() { _ = hold.Unlock(ctx) }() // releases even if ctx has ended
	fmt.Println("locked")
	// Output: locked
}

// How long to wait and how long to hold are different things.
func ExampleLock_TryLock() {
	client, closeAll := open()
	defer closeAll()
	orders := client.NewLock("orders")
	alice := rlock.WithOwner(context.Background(), rlock.NewOwner())
	bob := rlock.WithOwner(context.Background(), rlock.NewOwner())

	if _, err := orders.TryLock(alice, 0); err != nil { // do not wait
		fmt.Println(err)
		return
	}
	_, err := orders.TryLock(bob, 50*time.Millisecond, rlock.WithLease(time.Minute))
	switch {
	case errors.Is(err, rlock.ErrNotAcquired):
		fmt.Println("somebody else has it")
	case err != nil:
		fmt.Println("the server cannot be asked:", err)
	}
	// Output: somebody else has it
}

// Do is the shortest way: lock, work, unlock, and tell of everything that failed.
func ExampleLock_Do() {
	client, closeAll := open()
	defer closeAll()

	err := client.NewLock("orders").Do(context.Background(), func(ctx context.Context) error {
		if err := ctx.Err(); err != nil { // the caller left, or the lock is lost
			return err
		}
		fmt.Println("working")
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// working
	// error: <nil>
}

// A program that leaves the work to whoever has the lock does not wait for it.
func ExampleLock_TryDo() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()
	cleanup := client.NewLock("cleanup")

	err := cleanup.TryDo(ctx, 0, func(ctx context.Context) error {
		fmt.Println("cleaning up")
		other := rlock.WithOwner(ctx, rlock.NewOwner()) // in another instance, say
		err := cleanup.TryDo(other, 0, func(context.Context) error {
			fmt.Println("never printed")
			return nil
		})
		if errors.Is(err, rlock.ErrNotAcquired) {
			fmt.Println("left to the other one")
		}
		return nil
	})
	fmt.Println("error:", err)
	// Output:
	// cleaning up
	// left to the other one
	// error: <nil>
}

// Without the Hold at hand, as with Redisson's RLock, Unlock gives back the innermost
// hold of the calling goroutine, or of the context's owner.
func ExampleLock_Unlock() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()
	orders := client.NewLock("orders")

	if _, err := orders.Lock(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(orders.Unlock(ctx))
	err := orders.Unlock(ctx)
	fmt.Println(err)
	fmt.Println(errors.Is(err, rlock.ErrNotHeld))
	// Output:
	// <nil>
	// rlock: unlock "orders": lock not held by this owner
	// true
}

// A lock is held by an owner: the calling goroutine, or that of the context.
func ExampleLock_IsHeld() {
	client, closeAll := open()
	defer closeAll()
	orders := client.NewLock("orders")
	ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())
	hold, err := orders.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = hold.Unlock(ctx) }()

	locked, _ := orders.IsLocked(ctx)
	held, _ := orders.IsHeld(ctx)
	goroutines, _ := orders.IsHeld(context.Background())
	fmt.Println(locked, held, goroutines)
	// Output: true true false
}

func ExampleLock_ForceUnlock() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()
	orders := client.NewLock("orders")

	hold, err := orders.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	was, err := orders.ForceUnlock(ctx) // whoever has it
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("was locked:", was)
	<-hold.Done() // the holder is told
	fmt.Println(hold.Err())
	// Output:
	// was locked: true
	// rlock: lock "orders" lost: removed or taken over
}

func ExampleInfo() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()
	orders := client.NewLock("orders")

	hold, err := orders.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := orders.Inspect(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("locked:", info.Locked)
	fmt.Println("by us:", info.Owner == client.ID()+":"+hold.Owner().String())
	fmt.Println("holds:", info.Holds)
	fmt.Println("until, at least:", info.TTL.Round(10*time.Second))
	// Output:
	// locked: true
	// by us: true
	// holds: 1
	// until, at least: 30s
}
