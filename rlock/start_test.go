package rlock_test

import (
	"testing"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// What the documentation of New says about a server that is down when the program starts.
func TestProgramMayStartWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Kill()
	options := rueidis.ClientOption{InitAddress: []string{s.Addr()}}
	rdb, err := rueidis.NewClient(options)
	require.Error(t, err)
	require.Nil(t, rdb)

	options.ForceSingleClient = true
	rdb, err = rueidis.NewClient(options)
	require.Error(t, err)
	require.NotNil(t, rdb)
	defer rdb.Close()
	client := newClient(t, rdb)
	lock := client.NewLock(uniqueName(t))
	_, err = lock.Lock(t.Context())
	require.ErrorIs(t, err, rlock.ErrUnavailable)

	s.Restart(t)
	reach(t, lock)
	takeAndRelease(t, client, lock.Name())
	require.NoError(t, client.Close())
}
