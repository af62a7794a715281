package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCrewThatCannotStartLeavesNobodyBehind(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := startCrew(ctx, 2, job{}, nil)
	require.ErrorIs(t, err, context.Canceled)
}
