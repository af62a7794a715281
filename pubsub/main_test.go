package pubsub_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
)

var server *redistest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m, &server)) }
