package main

import (
	"os"
	"testing"
)

// TestMain lets the test's program be a worker, as compare is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == workerCommand {
		exit(work(os.Stdin, os.Stdout))
		return
	}
	os.Exit(m.Run())
}
