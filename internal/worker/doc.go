// Package worker runs the processes of the end-to-end tests: the test binary, started
// once more, does a Job there instead of running tests.
//
// Main makes a test binary able to do that, Start starts a Process and is its parent's
// end of it. A process is told what to do and answers line by line, through its
// standard input and output, so that a test reads like a script of who does what when,
// and needs no pauses. It can be killed and frozen like any other.
//
// There are two duties. A process that obeys holds locks, waits for locks and looks at
// its holds as its parent says. One that counts runs many goroutines that lock, add
// one to a counter on the server with a GET and a SET, and unlock. Both report to a
// witness: a key on the server that says who is inside. Whoever enters and finds
// somebody there has seen the lock fail. The witness has connections of its own and
// trusts nothing of the library.
package worker
