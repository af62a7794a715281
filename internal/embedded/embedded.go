// Package embedded runs a Redis server inside this process, for the demonstration
// on a machine that has none: it speaks to any client over TCP, and its keys expire
// in real time. It is not Redis: it keeps nothing, and it is slow with many keys.
//
// Tests in a synctest bubble use the package bubble below this one.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A Server is a Redis server inside this process, listening on a loopback port of its
// own. Its methods are safe for concurrent use.
type Server struct {
	redis  *miniredis.Miniredis
	listen net.Listener
	clock  clock
	work   sync.WaitGroup // the accepting goroutine
	close  func() error
}

// Start starts a server on a free port of the loopback interface. It answers when
// Start returns. The caller must Close it.
func Start() (*Server, error) {
	redis := miniredis.NewMiniRedis()
	// A connection that is made directly starts a server that does not listen, so
	// that every connection from outside passes through accept.
	direct, err := redis.Dial()
	if err != nil {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	_ = direct.Close()
	var config net.ListenConfig
	listen, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		redis.Close()
		return nil, fmt.Errorf("embedded: %w", err)
	}

	s := &Server{redis: redis, listen: listen, clock: clock{redis: redis, start: time.Now()}}
	s.clock.advance()
	redis.ClockTTL(true)
	s.close = sync.OnceValue(s.shut)
	s.work.Go(s.accept)
	return s, nil
}

// Addr returns the host:port that the server listens on.
func (s *Server) Addr() string { return s.listen.Addr().String() }

// URL returns the server's address as a redis:// URL.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Close stops the server, closes its connections and returns when its goroutines have
// ended. What it stored is gone. Calling it again returns what the first call did.
func (s *Server) Close() error { return s.close() }

func (s *Server) shut() error {
	err := s.listen.Close()
	s.work.Wait()
	s.redis.Close()
	return err
}

func (s *Server) accept() {
	server := s.redis.Server()
	for {
		conn, err := s.listen.Accept()
		switch {
		case err == nil:
			server.ServeConn(&tickingConn{Conn: conn, clock: &s.clock})
		case errors.Is(err, net.ErrClosed):
			return
		default:
			time.Sleep(10 * time.Millisecond) // out of descriptors, or a client that left
		}
	}
}

// A clock moves the server's time. As in Redis it moves between commands and never
// during a script, where a key that was there a line ago might be gone.
type clock struct {
	redis *miniredis.Miniredis
	start time.Time

	mu sync.Mutex // keeps a later time from being replaced by an earlier one
}

// advance sets the server's time to now, once no command is running.
func (c *clock) advance() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// From the monotonic reading, so that it never goes back.
	c.redis.SetTime(c.start.Add(time.Since(c.start)))
}

// A tickingConn advances the clock whenever something was read from it.
type tickingConn struct {
	net.Conn
	clock *clock
}

// Read reads like the connection.
func (c *tickingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.clock.advance()
	}
	return n, err
}
