package bench_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A token that was passed to somebody who does not wait any more has to go on.
func TestRingGoesOnWhenAWaiterGivesUp(t *testing.T) {
	t.Parallel()
	client, err := contender(t, "ring").Open(server.Addr())
	require.NoError(t, err)
	defer func() { assert.NoError(t, client.Close()) }()
	mutex := func() func(context.Context) error {
		m := client.Mutex(t.Name())
		return func(ctx context.Context) error {
			held, err := m.Lock(ctx)
			if err != nil {
				return err
			}
			return held.Unlock(context.WithoutCancel(ctx))
		}
	}
	patient, hasty := mutex(), mutex()
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		held, err := client.Mutex(t.Name()).Lock(t.Context())
		require.NoError(t, err)
		gaveUp, served := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- hasty(ctx) }()
		go func() { served <- patient(t.Context()) }()
		go cancel()
		require.NoError(t, held.Unlock(t.Context()))
		if err := <-gaveUp; err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
		require.NoError(t, <-served)
	}
}
