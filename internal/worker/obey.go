//go:build unix

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/go-rlock/rlock/rlock"
)

// obey does what the parent says, one line after the other, until there are no more.
// On SIGTERM it closes its client, whatever it is doing, and ends the process.
func (w *worker) obey() error {
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	over := make(chan struct{})
	defer close(over)
	var queued sync.WaitGroup
	go func() {
		select {
		case <-terminate:
			closed := w.client.Close()
			queued.Wait()
			w.say("closed: %s", kind(closed))
			os.Exit(0)
		case <-over:
		}
	}()

	mind, err := newWitness(w.Witness, w.Name, 0)
	if err != nil {
		return err
	}
	defer mind.close()
	o := &obedient{worker: w, witness: mind, queued: &queued}
	w.say("ready")
	for {
		line, err := w.in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		w.say("%s", o.do(strings.Fields(line)))
	}
}

// An obedient worker has a stack of holds.
type obedient struct {
	*worker
	witness *witness
	holds   []*rlock.Hold
	queued  *sync.WaitGroup // who waits in the background
}

// do carries out one line and returns the answer.
func (o *obedient) do(words []string) string {
	ctx := context.Background()
	words = append(words, "", "")
	switch name := words[1]; words[0] {
	case "lock":
		hold, err := o.client.NewLock(name).Lock(ctx)
		return o.held(hold, err)
	case "trylock":
		hold, err := o.client.NewLock(name).TryLock(ctx, 0)
		return o.held(hold, err)
	case "queue": // wait for the lock in the background, and say what came of it
		o.queued.Go(func() {
			_, err := o.client.NewLock(name).Lock(ctx)
			o.say("queue: %s", kind(err))
		})
		return "queued"
	case "unlock":
		last := len(o.holds) - 1
		err := o.holds[last].Unlock(ctx)
		o.holds = o.holds[:last]
		return kind(err)
	case "enter":
		return kind(o.witness.enter())
	case "leave":
		return kind(o.witness.leave())
	case "look":
		return look(o.holds[len(o.holds)-1], name)
	case "freeze": // until SIGCONT and one more byte from the parent
		hold := o.holds[len(o.holds)-1]
		return o.freeze(func() string { return look(hold, name) })
	case "do": // freeze with the lock, and say what the work's context says
		err := o.client.NewLock(name).Do(ctx, func(ctx context.Context) error {
			o.say("%s", o.freeze(func() string { return lookAt(ctx, words[2]) }))
			return nil
		})
		return kind(err)
	}
	return "error: there is no such command"
}

// held remembers a hold and returns the answer to an attempt to lock: "held", and by
// whom.
func (o *obedient) held(hold *rlock.Hold, err error) string {
	if err != nil {
		return kind(err)
	}
	o.holds = append(o.holds, hold)
	return fmt.Sprintf("held %s", hold.Owner())
}

// look returns what the hold says in one of the ways in which it can be asked.
func look(hold *rlock.Hold, way string) string {
	switch way {
	case "Err":
		return kind(hold.Err())
	case "Done":
		select {
		case <-hold.Done():
			return kind(hold.Err())
		default:
			return "nil"
		}
	}
	return lookAt(hold.Context(), way)
}

// lookAt returns what a context says in one of the ways in which it can be asked.
func lookAt(ctx context.Context, way string) string {
	switch way {
	case "ContextErr":
		if ctx.Err() == nil {
			return "nil"
		}
		return kind(context.Cause(ctx))
	case "ContextDone":
		select {
		case <-ctx.Done():
			return kind(context.Cause(ctx))
		default:
			return "nil"
		}
	}
	return "error: there is no such way to look"
}
