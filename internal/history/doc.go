// Package history lets several processes lock at random while everything around them
// fails, has every call of the library written down, and judges what was written.
//
// A Record is one call: who, which lock, when it was called, when it returned, and what
// it came to. The times are those of the machine's monotonic clock, which all processes
// share, so that records of different processes can be compared. Overlaps is the direct
// check, which needs no model: no two owners were inside one lock at the same time.
// Check is the whole one: it looks for an order of all that the records of a lock say,
// each at one moment between its call and its return, that a reentrant lock could have
// produced.
//
// # When a holder was inside
//
// The library does not promise that the lock is there until Unlock. It promises that
// its holder knows when it is over: a hold ends when its trust does, a little before
// its lease, and whoever looks at it after that is told so. A process that was stopped
// for longer than its lease looks only when it runs again; what it does before it looks
// is not the library's to prevent. So neither the moment at which Unlock was called nor
// that at which a process noticed its loss says how long it was inside: the first is too
// late for a lost hold, the second for a frozen process.
//
// A recording process therefore reads the clock first and looks at the hold after that.
// If Err then returns nil, the trust ended later than the look, and so later than the
// time that was read: at that time the holder was inside, whatever happened between the
// two or happens afterwards. If Err returns an error, the time proves nothing and is
// thrown away. This is done when Lock has returned, all the while that the lock is held,
// and before Unlock is called; the last time that counts is Record.Seen. From the return
// of Lock to Seen the holder was inside, without a gap, because a hold that has ended
// does not come back. A process can be stopped between any two instructions of this, and
// all that it costs is that the proven time is shorter than the real one.
//
// The end of the lock itself is another thing. A hold that was unlocked has ended
// between Seen and the return of Unlock. One that was lost has ended at some time after
// Seen: the server keeps it until its lease is over, a renewal that was under way may
// have prolonged it, and nobody is told. The next acquisition by somebody else is the
// first sign that it is gone.
//
// # What the model leaves open
//
// A call with an unknown outcome, one that met a fault or whose context ended, is not
// part of the order. Instead it may explain what is seen. Somebody is refused, sees the
// lock taken or counts holds although nobody has it: that is wrong, unless shortly
// before, an attempt gave up or ended with a fault, whose script may have taken the lock
// all the same, until it is undone or its lease ends. After a disturbance of any process the
// same is so for as long as the longest lease, because an attempt may have been repeated
// under way without its caller's knowledge, and a frozen waiter may have been given the
// lock. And for a moment after a disturbance of its process a holder may see another
// number of holds than it has, because the server may run a late copy of an earlier
// request; but never none. None of this softens who may acquire: whoever got the lock
// while somebody else was inside is always wrong.
//
// # One owner in several goroutines
//
// Most players are one owner in one goroutine. A crowd is one owner in two or three that
// act with one lock at the same time: they lock, try, give up, nest, count, and each gives
// back its own holds. To both checks they are one owner. Their holds overlap, and add up;
// an owner is inside for as long as any of its holds shows, so that none of its goroutines
// may be refused meanwhile. An attempt that one of them gave up may be counted by the
// others, as one hold more and never as one less, until it is undone. Crowds have locks of
// their own, on which those of all processes meet.
//
// What they do not play is Lock.Unlock, which may give back another goroutine's hold, and
// a hold that is given back by another goroutine than took it.
//
// # How a long history is judged
//
// Each lock is judged by itself. The times of its events are narrowed to what all
// possible orders have in common: whoever was inside has acquired after everybody who
// was inside before, a hold ended before the next owner acquired, and whoever saw the
// lock taken saw it while somebody was inside, if that is possible. Then the lock is
// quiet again and again, however many wait for it all the time: every earlier event has
// taken effect before every later one, and the state in between is what was acquired
// and has not ended. There the history is cut. Each part is short enough to be searched
// to its end; a part for which that takes too long counts as a failure.
//
// # Running it
//
// The tests of this package record some 100 000 operations, and besides what the crowds do
// meanwhile, which is a third as much. The environment variable RLOCK_HISTORY_OPERATIONS
// sets another number, and RLOCK_HISTORY_SEED what is drawn at random, though not how the
// processes are interleaved. A history with something wrong in it is kept, and the test
// says where.
package history
