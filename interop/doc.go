// Package interop proves against the real Redisson that Go and Java share a lock.
//
// The directory redisson is a Maven project: a driver that does with Redisson what it
// is told line by line, see Driver.java. Behind the build tag interop, the tests here
// build it once, run it in JVMs of their own, and let owners on both sides lock the
// same names:
//
//	go test -tags interop ./interop/
//
// They need a JDK, Maven and a Redis or Valkey server and fail without; "make
// test-interop" provides the servers and runs them in every combination.
// RLOCK_REDISSON selects the version of Redisson, one that the pom.xml has a profile
// for.
//
// Without the tag, what this library does on the server is compared with what the
// real Redisson did there once, as testdata/vectors.json has it. This regenerates
// that file:
//
//	go test -tags interop -run TestRedissonSpeaksAsRecorded ./interop/ -update
package interop
