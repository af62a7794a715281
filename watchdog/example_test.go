package watchdog_test

import (
	"context"
	"fmt"
	"time"

	"github.com/go-rlock/rlock/watchdog"
)

func Example() {
	renewed := make(chan []string)
	dog := watchdog.New(10*time.Millisecond, 100, func(ctx context.Context, leases []string) error {
		select {
		case renewed <- leases: // in earnest: ask a server to extend them
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	defer dog.Close()

	watch := dog.Add("orders")
	fmt.Println("renewed:", <-renewed)
	watch.Forget()
	fmt.Println("watched:", dog.Len())
	// Output:
	// renewed: [orders]
	// watched: 0
}

// A lease is kept alive while it is needed. When Stop has returned it is not being
// renewed and will not be, so that it can be given back.
func ExampleWatch() {
	attempts := make(chan int, 10)
	dog := watchdog.New(time.Hour, 100, func(_ context.Context, leases []string) error {
		attempts <- len(leases)
		return nil
	})
	defer dog.Close()

	watch := dog.Add("orders")
	watch.Renew() // now, rather than in an hour
	fmt.Println("leases in the batch:", <-attempts)
	watch.Stop()
	watch.Renew()
	fmt.Println("renewals after Stop:", len(attempts))
	// Output:
	// leases in the batch: 1
	// renewals after Stop: 0
}

func ExampleWatchdog_RenewAll() {
	sizes := make(chan int, 3)
	dog := watchdog.New(time.Hour, 100, func(_ context.Context, leases []int) error {
		sizes <- len(leases)
		return nil
	})
	defer dog.Close()
	for i := range 250 {
		dog.Add(i)
	}

	dog.RenewAll() // the server may have lost what it knew: do not wait for the next round
	fmt.Println(<-sizes+<-sizes+<-sizes, "leases in 3 batches")
	// Output: 250 leases in 3 batches
}

// The time counts from before the request, because the server may have started the
// lease at any time after it.
func ExampleTrust() {
	sent := time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	trust := watchdog.Since(sent, 30*time.Second)
	fmt.Println("margin:", watchdog.Margin(30*time.Second))
	fmt.Println("trusted until:", trust.Until().Format("15:04:05.000"))
	fmt.Println("over after 29 s:", trust.Over(sent.Add(29*time.Second)))
	fmt.Println("over after 30 s:", trust.Over(sent.Add(30*time.Second)))

	renewed := watchdog.Since(sent.Add(10*time.Second), 30*time.Second)
	fmt.Println("renewed after 10 s, over after 30 s:", trust.Later(renewed).Over(sent.Add(30*time.Second)))
	// Output:
	// margin: 302ms
	// trusted until: 12:00:29.698
	// over after 29 s: false
	// over after 30 s: true
	// renewed after 10 s, over after 30 s: false
}
