package bench_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/rlock"
)

// What one uncontended Lock and Unlock may allocate, the Redis client's part included.
const (
	mostAllocations = 15
	mostBytes       = 1536
)

// It is not parallel: it counts what the whole process allocates.
func TestUncontendedLockAllocatesLittle(t *testing.T) {
	client, err := rlock.New(server.Client(t))
	require.NoError(t, err)
	defer func() { assert.NoError(t, client.Close()) }()
	lock := client.NewLock(t.Name())
	ctx := context.Background()
	pair := func() {
		hold, err := lock.Lock(ctx)
		require.NoError(t, err)
		require.NoError(t, hold.Unlock(ctx))
	}
	for range 100 {
		pair()
	}

	const pairs = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range pairs {
		pair()
	}
	runtime.ReadMemStats(&after)
	allocations := float64(after.Mallocs-before.Mallocs) / pairs
	bytes := float64(after.TotalAlloc-before.TotalAlloc) / pairs
	t.Logf("%.2f allocations, %.0f bytes", allocations, bytes)
	if raceDetector { // it makes every sync.Pool forget things at random
		allocations -= 3
		bytes -= 256
	}
	assert.Less(t, allocations, mostAllocations+0.5)
	assert.LessOrEqual(t, bytes, float64(mostBytes))
}
