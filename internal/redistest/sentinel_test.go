package redistest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

func role(t *testing.T, s *redistest.Server) string {
	t.Helper()
	role, ok := s.Do(t, "ROLE").([]any)
	require.True(t, ok)
	return fmt.Sprint(role[0])
}

func TestSentinelLeadsItsClientsToThePrimary(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	rdb := s.Client(t)
	assert.Equal(t, rueidis.ClientModeSentinel, rdb.Mode())
	set := func(key string) {
		t.Helper()
		require.NoError(t, rdb.Do(t.Context(), rdb.B().Set().Key(key).Value("v").Build()).Error())
	}
	assert.Equal(t, "master", role(t, s.Primary))
	assert.Equal(t, "slave", role(t, s.Replica))
	set("before")
	assert.Equal(t, "v", s.Primary.Do(t, "GET", "before"))

	s.Failover(t)
	assert.Equal(t, "master", role(t, s.Primary), "nobody has told it yet")
	assert.Equal(t, "master", role(t, s.Replica))
	require.Eventually(t, func() bool { return rdb.Nodes()[s.Replica.Addr()] != nil }, 10*time.Second, time.Millisecond)
	set("after")
	assert.Equal(t, "v", s.Replica.Do(t, "GET", "after"))
	assert.Nil(t, s.Primary.Do(t, "GET", "after"))
}
