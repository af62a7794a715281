package main

import (
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/internal/embedded"
)

const (
	// dialTimeout bounds how long a server that is not there is looked for.
	dialTimeout = 2 * time.Second
	// replyTimeout bounds how long a reply is waited for.
	replyTimeout = 5 * time.Second
)

// A server is the Redis server that a demonstration runs on.
type server struct {
	url   string
	where string // in words
	rdb   rueidis.Client
	local *embedded.Server // nil if the server is somebody else's
}

// openServer connects to the server at an address, or starts one in this process if
// the address is empty.
func openServer(address string) (*server, error) {
	if address == "" {
		return openEmbedded()
	}
	option, err := clientOption(address)
	if err != nil {
		return nil, err
	}
	at := option.InitAddress[0]
	rdb, err := rueidis.NewClient(option)
	if err != nil {
		return nil, fmt.Errorf("no Redis server to work with at %s: %w", at, err)
	}
	return &server{url: address, where: "the server at " + at, rdb: rdb}, nil
}

// openEmbedded starts a server in this process. It makes an interpreter for every
// script that it runs, so the garbage is worth collecting less often.
func openEmbedded() (*server, error) {
	debug.SetGCPercent(1000)
	local, err := embedded.Start()
	if err != nil {
		return nil, fmt.Errorf("start a server in this process: %w", err)
	}
	rdb, err := connect(local.URL())
	if err != nil {
		return nil, errors.Join(err, local.Close())
	}
	return &server{url: local.URL(), where: "a server inside this process", rdb: rdb, local: local}, nil
}

// close ends the connections, and the server if it is in this process.
func (s *server) close() error {
	s.rdb.Close()
	if s.local == nil {
		return nil
	}
	return s.local.Close()
}

// connect returns a client for the server at an address.
func connect(address string) (rueidis.Client, error) {
	option, err := clientOption(address)
	if err != nil {
		return nil, err
	}
	rdb, err := rueidis.NewClient(option)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", option.InitAddress[0], err)
	}
	return rdb, nil
}

// clientOption returns what a client for the server at an address is made of: one
// node, no cache, and faults that are shown instead of waited out.
func clientOption(address string) (rueidis.ClientOption, error) {
	option, err := rueidis.ParseURL(address)
	if err != nil {
		given := address
		if parsed, err := url.Parse(address); err == nil {
			given = parsed.Redacted()
		}
		if parsing := (*url.Error)(nil); errors.As(err, &parsing) {
			err = parsing.Err // the rest of its text is the address again
		}
		return option, fmt.Errorf("%q is not the address of a server (%w); it must look like redis://user:password@host:6379/0", given, err)
	}
	option.ForceSingleClient = true
	option.DisableCache = true
	option.DisableRetry = true
	if option.Dialer.Timeout == 0 {
		option.Dialer.Timeout = dialTimeout
	}
	if option.ConnWriteTimeout == 0 {
		option.ConnWriteTimeout = replyTimeout
	}
	return option, nil
}
