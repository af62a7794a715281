package rlock_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/go-rlock/rlock/internal/redistest"
)

// server runs while the tests of this package do. Tests that stop, kill or configure
// a server start one of their own.
var server *redistest.Server

func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Main(m, &server)) }
