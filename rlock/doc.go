// Package rlock provides locks that processes share through Redis or Valkey, in the
// wire format of Redisson's RLock: a Go process and a Java process that lock the same
// name exclude each other and wake each other.
//
// # Usage
//
//	client, err := rlock.New(rdb) // rdb is a rueidis.Client
//	defer client.Close()
//
//	orders := client.NewLock("orders:42")
//	hold, err := orders.Lock(ctx)
//	if err != nil {
//		return err
//	}
//	defer hold.Unlock(ctx)
//	work(hold.Context())
//
// [Lock.Lock] waits until the lock is the caller's; [Lock.TryLock] waits for a limited
// time or not at all; [Lock.Do] and [Lock.TryDo] lock, work and unlock. A lock belongs to a
// goroutine, or to an explicit [Owner], and its owner may lock it again.
//
// # Guarantees
//
//  1. At most one owner has a lock at a time, for as long as the server keeps what it
//     was told (see below), and for as long as a holder stops working when its hold
//     ends. [Hold.Context] ends then.
//  2. A lock whose holder died is free at the latest when its lease ends: the
//     watchdog timeout, 30 s by default, or the time of WithMinHold if that is longer;
//     or the lease that WithLease gave it.
//  3. A hold without a lease of its own lasts until Unlock, or until the time of
//     WithMaxHold is over, for as long as the process runs and reaches the server at
//     least once per watchdog timeout.
//  4. A holder learns that its lease ended, or that the server cannot be reached,
//     before anybody else can have the lock, if its process runs; if the process was
//     stopped, from the first call of Err or Done after that. It learns that the lock
//     was removed, taken over, or lost with the server's data within a third of the
//     watchdog timeout; at once when the pub/sub connection was interrupted and is
//     there again; and at once by the message of a forced release, if somebody in its
//     process waits for the lock.
//  5. Acquiring and releasing are idempotent. A lost reply, a retry, or a context that
//     ends at any point leaves neither a lock that nobody has nor a wrong count.
//  6. A release that happens while somebody waits is not missed, whatever the order of
//     events. After a reconnect, whoever is in front in each process tries at once.
//     Waiters of one process are served in the order in which they came, and processes
//     in the order of their first waiters; a process may pass the lock on inside up to
//     8 times in a row, see WithTurns. A newcomer that finds the lock free takes it.
//  7. A fault of the server is never reported as contention, nor contention as a fault.
//     Faults that may go away by themselves are [ErrUnavailable].
//
// # What is not guaranteed
//
// A lock on one primary is as safe as that primary: a failover can lose a lock that
// had not been replicated, a restart without persistence loses all, and a maxmemory
// policy may evict them. The server's wall clock must not jump, because keys expire by
// it. A process that is stopped for longer than its lease has lost the lock and may
// not know it until it runs again; only the resource itself can refuse what it then
// does. Locks are advisory.
//
// # Concurrency
//
// Client, Lock and Hold may be used by several goroutines at once. A Client runs one
// goroutine for its pub/sub connection while there are holds or waiters and for some
// seconds after, and goroutines for scripts that are under way. Client.Close waits for all
// of them, but not longer than some seconds for a server that does not answer: a goroutine
// that waits for its answer then ends when the Redis client gives up.
//
// # Redis requirements
//
// Redis 6.2 or later, or Valkey, on one server or behind Sentinel. Besides those of the
// rueidis client there is one connection, for pub/sub. After a failover it follows the
// rueidis client to the new primary within about half a second, also while the old one lives,
// and counts as one that was interrupted. An ACL must allow
//
//   - keys: the names of the locks, and rlock_queue:*;
//   - channels: redisson_lock__channel:*, rlock_beacon:* and rlock_grant:*;
//   - commands: EVAL, EVALSHA, SUBSCRIBE, UNSUBSCRIBE, PING, and for the scripts HSET,
//     HGET, HMGET, HGETALL, HEXISTS, EXISTS, PTTL, PEXPIRE, DEL, PUBLISH, PUBSUB, TIME,
//     LPOP, RPUSH, LPOS, LSET, LREM, LLEN and LINDEX; and what rueidis itself sends
//     (HELLO, CLIENT).
//
// Of CLIENT, rueidis needs TRACKING, unless its DisableCache is set. For a database other
// than 0 it needs SELECT besides, and behind Sentinel ROLE. It does without CLIENT SETINFO
// and CLUSTER, which it tries.
//
// If PUBLISH alone is refused, everything works, but waiters notice a release only
// when the lease they know of ends. If anything is refused that only handing over needs
// (the keys and channels that begin with rlock, the commands from PUBSUB on), released
// locks are published instead, as with WithHandover(false).
package rlock
