// Package lua holds what a lock does on the server: one Lua script per
// operation, and one typed Go function per script.
//
// This package is a part of the machinery. Programs use package rlock.
//
// # Wire format
//
// A lock is a hash at the lock's own name with one field, the owner, whose value
// is the number of holds as decimal text. It always has a time to live, the
// lease. Releasing deletes the hash and publishes "0" on the lock's channel. This
// is the format of Redisson's RLock; a Java process and a Go process that use the
// same name exclude each other and wake each other.
//
// # Idempotence
//
// Each script may run twice, because a reply can be lost on the way and then
// nobody knows whether the script ran. Each .lua file says why that is harmless.
//
// # Errors
//
// A script that finds the lock in somebody else's hands is no error: that is a
// [Status]. An error is a refusal by the server (a *rueidis.RedisError; nobody got or
// lost a lock by it), an answer that no script gives ([ErrReply]), or a missing answer
// (any other error; the script may have run, may be running, or may run later). Every function
// blocks until the answer is there or ctx ends and is safe for concurrent use.
package lua
