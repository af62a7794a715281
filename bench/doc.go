// Package bench measures the lock against spin locks, and against the floor: the least
// that a lock on Redis can cost.
//
// This package is for measuring. Programs use package rlock.
//
// # Running
//
// A server is started for the benchmarks; redis-server or valkey-server must be
// installed.
//
//	make bench
//
// compares the lock with everything there is to compare it with and writes the
// directory results; see the command in peers/compare. The Go benchmarks are for a
// closer look, by benchstat:
//
//	go test -run '^$' -bench . ./bench
//
// One run tells little. To compare, run each benchmark several times, in turn with the
// others so that all of them meet the same weather, and let benchstat do the sums:
//
//	for i in 1 2 3 4 5 6; do go test -run '^$' -bench Serial ./bench; done > serial.txt
//	go run golang.org/x/perf/cmd/benchstat@latest -col /contender serial.txt
//
// # Workloads
//
// Serial is one goroutine that locks and unlocks one name. Names64 is 64 goroutines
// with a name each. Nobody waits in these two. In the others, somebody does:
// Goroutines32 is one client with 32 goroutines that all want one name; Clients8,
// Clients32 and Clients128 are clients with one goroutine each, Clients8x8 is 8 clients
// with 8 goroutines each, that all want one name. HotNames is 8 clients with 8
// goroutines each and 100 names: nine times of ten a goroutine wants one of 10 of them.
//
// A client stands for a process: it has connections and an identity of its own. All
// clients of a workload are in one process all the same, as a machine with a few
// processors would be busy with switching between 128 of them.
//
// The part ctx=background of a name means a context that cannot end, ctx=cancel one
// that can; hold is for how long a lock is kept.
//
// # Contenders
//
//   - rlock is this module's lock, as it comes; rlock-public is the same without
//     hand-over: a released lock is announced to all who wait.
//   - floor takes part where nobody waits. It is the lock's scripts for acquiring and
//     releasing, called one after the other, with the caller's context. It cannot wait,
//     renew or tell.
//   - ring takes part where somebody waits. It is a token that is passed round, with
//     one script per hop, which writes down the new owner and tells it. Who is next is
//     known without asking.
//   - spin is what users of a plain client write: SET NX with a token until it works,
//     then compare and delete. It tries again at once, spin-1ms and spin-100ms after
//     that time, spin-backoff after random times that grow from 1 ms to 100 ms.
//     With hold=0s they do many acquisitions per second because whoever has just
//     unlocked is the first to lock again; p99 and max tell what the others pay.
//
// # Metrics
//
//   - ops/s: acquisitions per second.
//   - cmds/acq: commands that the server executed per acquisition, by INFO
//     commandstats. A script is one, and so is each command that it calls.
//   - redis-µs/acq: processor time of the server's process per acquisition, by INFO
//     cpu, everything included.
//   - bytes/acq: what went through the server's connections per acquisition.
//   - p50-wait-ns, p99-wait-ns, max-wait-ns: how long Lock took. Benchstat prints them
//     in units that fit.
//
// AgainstFloor is about the distance between rlock and the floor. The two take turns in
// short blocks within one benchmark, so that other work on the machine meets both.
// Its metric is the ratio of their times, the median over pairs of blocks; rlock-ns and
// floor-ns are the medians of the times of one acquisition.
//
// Renewal is another measurement: 100 000 locks are held and watched. One operation is
// one round of the watchdog; it reports the scripts that it needed, how long it took
// (round-ns), and the server's processor time.
package bench
