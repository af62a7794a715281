//go:build !unix

package main

import "time"

// processorTime returns 0: here it is not known how much processor time was used.
func processorTime() time.Duration { return 0 }
