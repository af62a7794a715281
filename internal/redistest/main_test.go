package redistest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
)

var shared *redistest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m, &shared)) }
