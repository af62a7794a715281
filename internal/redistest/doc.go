// Package redistest runs real Redis or Valkey servers for tests, and the
// faults that a fake cannot show: a server that stops answering, dies, comes
// back empty, or whose reply is lost on the way.
//
// Start gives a test its own server, Main gives one to all tests of a package.
// Every server is a child process on a private loopback port with nothing on
// disk, is ready when the function returns, and dies with the test binary where
// the system allows it. What the server logged is attached to a test that fails.
//
// The program is the one that the environment variable RLOCK_TEST_SERVER names,
// else redis-server, else valkey-server. When there is none, tests fail with a
// sentence that says what to install; they never skip.
//
// StartSentinel gives a test a primary, its replica, and a Sentinel that makes the
// replica the primary when it is told to.
//
// A Proxy stands between a client and a server, delays, cuts and refuses
// connections, and loses messages.
package redistest
