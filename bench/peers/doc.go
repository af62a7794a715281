// Package peers has the other lock libraries for Go as contenders of package bench,
// each as its documentation recommends to use it. Its module is apart from the lock's,
// whose users need none of these.
//
// The command compare measures all of them beside the lock, the floor, spin locks and
// Redisson.
package peers
