// Package pubsub lets many listeners share one Redis connection: each names a
// channel, and hears its messages, its confirmations and its interruptions.
//
// This package is a part of the machinery and knows channels, not locks. Programs
// use package rlock.
//
// # Guarantees
//
//  1. A Hub has at most one connection, and none once nobody has needed it for
//     2 seconds. It is a dedicated one, taken from the rueidis client, so that it
//     leads to the primary and shares nothing with commands. (With a server that only
//     speaks version 2 of the protocol, rueidis makes two of it.) When the client turns
//     to another server, as that of a Sentinel does after a failover, the Hub gives the
//     connection up within half a second, as if it had broken, and follows.
//  2. After Listener.Subscribed and until Listener.Interrupted, every message that
//     the server publishes on the channel reaches Listener.Message, in the order
//     in which the server sent them. None comes at another time.
//  3. After an interruption the Hub connects and subscribes again by itself, at
//     once and then with growing pauses of less than 0.4 seconds, and calls Subscribed
//     again. Messages in between are lost: whoever is told Subscribed looks for
//     itself. A server that does not answer within 5 seconds counts as one to which
//     the connection broke; a connection over which nothing is asked is watched by
//     rueidis' own pings. Of a channel that an ACL forbids only its listeners are told;
//     it is asked for again every 2 seconds and with the next Hub.Subscribe.
//  4. A channel is subscribed once, however many listen to it, and unsubscribed
//     when the last Subscription is closed.
//  5. A message is delivered to every listener of its channel. Which of the
//     waiters behind a listener is woken is the listener's business.
//
// # Listeners
//
// All calls of all listeners of one Hub come one after another, most of them from
// the reader of the connection. They must not block, must not call Redis and must
// not call the Hub: a listener that sleeps stops every other one. Whoever calls the
// Hub must not hold a lock that a listener takes.
package pubsub
