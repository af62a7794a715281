package main

import "context"

// noLocker does not lock.
type noLocker struct{}

func (noLocker) acquire(ctx context.Context) (holding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return noHolding{}, nil
}

func (noLocker) close() error { return nil }

// noHolding is nothing.
type noHolding struct{}

func (noHolding) gone() <-chan struct{}         { return nil }
func (noHolding) err() error                    { return nil }
func (noHolding) release(context.Context) error { return nil }
