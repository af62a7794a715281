package pubsub_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/redis/rueidis"

	"github.com/go-rlock/rlock/internal/embedded"
	"github.com/go-rlock/rlock/pubsub"
)

// A bell rings when something may have changed. Its methods do not block.
type bell struct{ rings chan string }

func (b bell) ring(why string) {
	select {
	case b.rings <- why:
	default: // it rings already
	}
}

func (b bell) Subscribed()            { b.ring("subscribed") }
func (b bell) Message(payload string) { b.ring("message " + payload) }
func (b bell) Interrupted(err error)  { b.ring(err.Error()) }

func ExampleHub() {
	server, err := embedded.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{server.Addr()}, ForceSingleClient: true, DisableCache: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	hub := pubsub.NewHub(client)
	b := bell{rings: make(chan string, 1)}
	subscription := hub.Subscribe("news", b)
	fmt.Println(<-b.rings)

	publish := client.B().Publish().Channel("news").Message("0").Build()
	if err := client.Do(context.Background(), publish).Error(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-b.rings)

	subscription.Close()
	hub.Close()
	// Output:
	// subscribed
	// message 0
}

// Whoever holds something that the server may lose keeps the connection, to be told
// when it was made again: then it is time to look.
func ExampleHub_Keep() {
	server, err := embedded.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Close() }()
	dialed := make(chan net.Conn, 10)
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{server.Addr()}, ForceSingleClient: true, DisableCache: true,
		DialCtxFn: func(ctx context.Context, address string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "tcp", address)
			dialed <- conn
			return conn, err
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	<-dialed // the one for commands

	hub := pubsub.NewHub(client)
	defer hub.Close()
	b := bell{rings: make(chan string, 1)}
	keeper := hub.Keep(func() { b.ring("reconnected") })
	defer keeper.Close()
	subscription := hub.Subscribe("news", b)
	fmt.Println(<-b.rings)
	subscription.Close()

	_ = (<-dialed).Close() // as a fault of the network would
	fmt.Println(<-b.rings)
	// Output:
	// subscribed
	// reconnected
}
