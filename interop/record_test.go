//go:build interop

package interop_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
)

var update = flag.Bool("update", false, "write testdata/vectors.json anew")

func TestRedissonSpeaksAsRecorded(t *testing.T) {
	t.Parallel()
	got := perform(t, func(t *testing.T, s *redistest.Server, watchdog time.Duration) owner {
		t.Helper()
		return shared.connect(t, s.Addr(), watchdog).owner("1")
	})
	if *update {
		text, err := json.MarshalIndent(got, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(vectorsFile, append(text, '\n'), 0o644))
	}
	for i, want := range readVectors(t) {
		assert.Equal(t, want, got[i], "lock %q", want.Name)
	}
}
