package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
)

const (
	// masterSet is what a Sentinel calls its primary.
	masterSet = "tests"

	// patience is the silence after which a Sentinel takes a server to be down. It is
	// long, so that the only failovers are those that a test asks for.
	patience = time.Minute
)

// A Sentinel names the primary to its clients: first Primary, and after Failover Replica.
type Sentinel struct {
	Primary, Replica *Server // what they were at the start

	server *Server
}

// StartSentinel starts a primary, a replica and a Sentinel for them, and stops them when
// the test and its subtests are over. It returns when the replica has what the primary
// has, and the Sentinel knows both. If that does not come about, the test fails at once.
func StartSentinel(tb testing.TB) *Sentinel {
	tb.Helper()
	s := &Sentinel{Primary: Start(tb, "--repl-diskless-sync-delay", "0")}
	host, port, err := net.SplitHostPort(s.Primary.addr)
	if err != nil {
		tb.Fatalf("redistest: address of the primary: %v", err)
	}
	s.Replica = Start(tb, "--replicaof", host, port)
	await(tb, "the replica is in step", func(ctx context.Context) (bool, error) {
		info, err := s.Replica.Call(ctx, "INFO", "replication")
		return strings.Contains(fmt.Sprint(info), "master_link_status:up\r\n"), err
	})

	s.server, err = launch(&Server{conf: fmt.Sprintf(
		"sentinel monitor %s %s %s 1\nsentinel down-after-milliseconds %[1]s %[4]d\n",
		masterSet, host, port, patience.Milliseconds())})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.server.Stop)
	s.server.Attach(tb)
	// A slow machine must not make it do nothing for half a minute. Before Redis 7 it refuses.
	_, _ = s.server.Call(tb.Context(), "SENTINEL", "DEBUG", "tilt-trigger", "60000")
	await(tb, "the Sentinel knows the replica", func(ctx context.Context) (bool, error) {
		replicas, err := s.server.Call(ctx, "SENTINEL", "REPLICAS", masterSet)
		return strings.Contains(fmt.Sprint(replicas), "master-link-status ok"), err
	})
	return s
}

// Client returns a client that asks the Sentinel for the primary, closed when the test is
// over. See Server.Client.
func (s *Sentinel) Client(tb testing.TB, mutate ...func(*rueidis.ClientOption)) rueidis.Client {
	tb.Helper()
	s.Primary.Attach(tb)
	s.Replica.Attach(tb)
	sentinel := func(o *rueidis.ClientOption) { o.Sentinel.MasterSet = masterSet }
	return s.server.Client(tb, append([]func(*rueidis.ClientOption){sentinel}, mutate...)...)
}

// Failover makes the replica the primary. It returns when the Sentinel says so to whoever
// asks. The old primary lives and takes itself for the primary, for 8 seconds at least, until
// the Sentinel tells it otherwise. The test fails if the failover does not come about.
func (s *Sentinel) Failover(tb testing.TB) {
	tb.Helper()
	await(tb, "the Sentinel begins a failover", func(ctx context.Context) (bool, error) {
		_, err := s.server.Call(ctx, "SENTINEL", "FAILOVER", masterSet)
		var refusal ReplyError
		if errors.As(err, &refusal) && strings.HasPrefix(refusal.Error(), "NOGOODSLAVE") {
			return false, nil // it has not heard of the replica for some seconds
		}
		return err == nil, err
	})
	await(tb, "the Sentinel names the replica", func(ctx context.Context) (bool, error) {
		addr, err := s.server.Call(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterSet)
		_, port, _ := net.SplitHostPort(s.Replica.addr)
		return strings.Contains(fmt.Sprint(addr), " "+port+"]"), err
	})
}

// await polls a condition until it holds, and fails the test if it does not or if looking
// fails.
func await(tb testing.TB, what string, done func(ctx context.Context) (bool, error)) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), startLimit)
	defer cancel()
	if err := poll(ctx, turnEvery, func() (bool, error) { return done(ctx) }); err != nil {
		tb.Fatalf("redistest: %s: %v", what, err)
	}
}
