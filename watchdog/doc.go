// Package watchdog keeps leases alive: it calls a function with everything that
// is watched, in batches, before it runs out.
//
// This package is a part of the machinery and knows neither locks nor Redis: it
// renews through a function that it is given. Programs use package rlock.
//
// # Trust
//
// A [Trust] says how long the holder of a lease may still believe in it. It counts
// from just before the request was sent, not from the reply, and ends a computed
// margin before the server can give the lease to somebody else.
//
// # Concurrency
//
// A [Watchdog] runs no goroutine between two rounds and none at all while nothing
// is watched. During a round it runs one goroutine per batch in flight, at most 16,
// and one per batch that waits to be tried again.
//
//  1. A lease is renewed in the first round after [Watchdog.Add] returned, and in
//     every round until [Watch.Stop] is called.
//  2. After [Watch.Stop] or [Watch.Pause] returned, no renewal of that lease is
//     under way and none starts.
//  3. A batch that fails or hangs delays no other batch and no later round of
//     another batch.
//  4. [Watchdog.Close] returns when every goroutine has left.
package watchdog
