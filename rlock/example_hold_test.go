package rlock_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/rlock"
)

// A hold may be given back by another goroutine than the one that locked.
func ExampleHold() {
	client, closeAll := open()
	defer closeAll()
	ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())

	hold, err := client.NewLock("orders").Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		if err := hold.Unlock(ctx); err != nil {
			fmt.Println(err)
		}
	}()
	<-hold.Done()
	fmt.Println("ended:", hold.Err())
	// Output: ended: <nil>
}

// A second Unlock does nothing, so that it can be deferred and called early.
func ExampleHold_Unlock() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()

	hold, err := client.NewLock("orders").Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = hold.Unlock(ctx) }()
	if err := hold.Unlock(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println("unlocked; now something that needs no lock")
	// Output: unlocked; now something that needs no lock
}

// Work under the context of the hold stops when the lock can no longer be trusted.
func ExampleHold_Context() {
	client, closeAll := open()
	defer closeAll()

	hold, err := client.NewLock("orders").Lock(context.Background(), rlock.WithLease(500*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	work := func(ctx context.Context) error {
		select {
		case <-time.After(time.Minute): // too slow for its lease
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err = work(hold.Context())
	fmt.Println(err)
	fmt.Println(errors.Is(err, rlock.ErrLost))
	// Output:
	// rlock: lock "orders" lost: lease expired
	// true
}

// A lock belongs to a goroutine. Work that hops between goroutines, and holds that
// outlive the function that took them, need an owner that is no goroutine.
func ExampleOwner() {
	client, closeAll := open()
	defer closeAll()
	orders := client.NewLock("orders")

	request := func() error { // every request of a server that has one goroutine for all
		ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())
		hold, err := orders.TryLock(ctx, 0)
		if err != nil {
			return err
		}
		_ = hold // goes to a background goroutine, which will unlock it
		return nil
	}
	fmt.Println("first:", request())
	fmt.Println("second stays out:", errors.Is(request(), rlock.ErrNotAcquired))
	// Output:
	// first: <nil>
	// second stays out: true
}

// Whoever has the context re-enters, in whatever goroutine.
func ExampleWithOwner() {
	client, closeAll := open()
	defer closeAll()
	orders := client.NewLock("orders")

	ctx := rlock.WithOwner(context.Background(), rlock.NewOwner())
	if _, err := orders.Lock(ctx); err != nil {
		fmt.Println(err)
		return
	}
	entered := make(chan error)
	go func() {
		_, err := orders.TryLock(ctx, 0)
		entered <- err
	}()
	fmt.Println("helper:", <-entered)
	_, err := orders.TryLock(context.Background(), 0)
	fmt.Println("the goroutine itself is somebody else:", errors.Is(err, rlock.ErrNotAcquired))
	// Output:
	// helper: <nil>
	// the goroutine itself is somebody else: true
}

// Every hold has one of three ends: none but Unlock, a lease, or a maximum.
func ExampleLockOption() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()
	orders := client.NewLock("orders")

	for _, options := range [][]rlock.LockOption{
		nil, // renewed for as long as the process lives
		{rlock.WithLease(10 * time.Second)},
		{rlock.WithMaxHold(time.Hour)},
	} {
		hold, err := orders.Lock(ctx, options...)
		if err != nil {
			fmt.Println(err)
			return
		}
		ttl, _ := orders.TTL(ctx)
		fmt.Println(ttl.Round(10 * time.Second))
		if err := hold.Unlock(ctx); err != nil {
			fmt.Println(err)
		}
	}
	_, err := orders.Lock(ctx, rlock.WithLease(0))
	fmt.Println(err)
	// Output:
	// 30s
	// 10s
	// 30s
	// rlock: lock "orders": lease is 0s; it must be from 1ms to 876000h0m0s
}

// A fixed lease is not renewed: the lock becomes free even if the holder hangs.
func ExampleWithLease() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()
	orders := client.NewLock("orders")

	hold, err := orders.Lock(ctx, rlock.WithLease(500*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	next := rlock.WithOwner(ctx, rlock.NewOwner())
	if _, err := orders.TryLock(next, 10*time.Second); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the next one has it;", hold.Unlock(ctx))
	// Output: the next one has it; rlock: unlock "orders": rlock: lock "orders" lost: lease expired
}

// A maximum hold is renewed like any other, but not for ever: it guards against a
// goroutine that hangs while its process lives.
func ExampleWithMaxHold() {
	client, closeAll := open()
	defer closeAll()

	hold, err := client.NewLock("orders").Lock(context.Background(), rlock.WithMaxHold(500*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	<-hold.Done()
	fmt.Println(hold.Err())
	// Output: rlock: lock "orders" lost: lease expired
}

// A job that one of several instances runs at every full hour takes no time. With a
// minimum hold, an instance whose clock is a little behind does not run it again.
func ExampleWithMinHold() {
	client, closeAll := open()
	defer closeAll()
	report := client.NewLock("report")

	hourly := func() {
		ctx := rlock.WithOwner(context.Background(), rlock.NewOwner()) // each run is an owner of its own
		err := report.TryDo(ctx, 0, func(context.Context) error {
			fmt.Println("reported")
			return nil
		}, rlock.WithMinHold(time.Minute))
		if errors.Is(err, rlock.ErrNotAcquired) {
			fmt.Println("another instance has done it")
		}
	}
	hourly()
	hourly() // a second later, in an instance whose clock is behind
	// Output:
	// reported
	// another instance has done it
}

// A program that can do without the lock tells a server that is away from everything
// else by one error.
func ExampleErrUnavailable() {
	address, stop := start()
	rdb, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{address}, ForceSingleClient: true, DisableCache: true,
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
	stop()

	hold, err := client.NewLock("orders").TryLock(context.Background(), time.Second)
	switch {
	case err == nil:
		defer func() { _ = hold.Unlock(context.Background()) }()
		fmt.Println("under the lock")
	case errors.Is(err, rlock.ErrNotAcquired):
		fmt.Println("somebody else does it")
	case errors.Is(err, rlock.ErrUnavailable):
		fmt.Println("without the lock, from the database")
	default:
		fmt.Println(err) // a mistake: nothing that waiting could mend
	}
	// Output: without the lock, from the database
}

func ExampleLostError() {
	client, closeAll := open()
	defer closeAll()
	ctx := context.Background()

	hold, err := client.NewLock("orders").Lock(ctx, rlock.WithLease(500*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return
	}
	<-hold.Done()
	err = hold.Unlock(ctx)
	var lost *rlock.LostError
	if errors.As(err, &lost) {
		fmt.Println("lost", lost.Name, "because:", lost.Reason)
		fmt.Println("in the past:", lost.Since.Before(time.Now()))
	}
	fmt.Println(errors.Is(err, rlock.ErrLost))
	// Output:
	// lost orders because: lease expired
	// in the past: true
	// true
}

func ExampleReason() {
	explain := func(err error) string {
		var lost *rlock.LostError
		if !errors.As(err, &lost) {
			return "still ours"
		}
		switch lost.Reason {
		case rlock.Expired:
			return "too slow: undo the work"
		case rlock.Removed:
			return "an operator intervened: stop"
		case rlock.Unreachable:
			return "try again when the server is back"
		case rlock.ClientClosed:
			return "shutting down"
		default:
			return lost.Reason.String()
		}
	}
	fmt.Println(explain(nil))
	fmt.Println(explain(&rlock.LostError{Name: "orders", Reason: rlock.Expired}))
	// Output:
	// still ours
	// too slow: undo the work
}
