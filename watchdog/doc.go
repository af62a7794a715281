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
// is watched. During a round it runs one goroutine per batch, of which at most 16
// renew at the same time; a batch that failed keeps its goroutine until it has been
// tried again.
//
//  1. A lease is renewed in the first round after [Watchdog.Add] returned, and in
//     every round until [Watch.Stop] is called; where it is paused, or its last
//     renewal still under way, when a round begins, as soon as that has ended.
//  2. After [Watch.Stop] or [Watch.Pause] returned, no renewal of that lease is
//     under way and none starts. Neither waits for a renewal that has not started.
//  3. A batch that fails or hangs delays no other batch and no later round of
//     another batch, as long as fewer than 16 of them hang.
//  4. [Watchdog.Close] returns when every goroutine has left.
package watchdog
