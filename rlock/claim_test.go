package rlock

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What has made a name unusable was done in the tenure's turn, before whoever hands the
// lock over can have that turn.
func TestLockIsNotHandedToANameThatWasRetiredAMomentAgo(t *testing.T) {
	c := &Client{}
	from := &tenure{client: c}
	for range 2_000 {
		r := &room{client: c}
		w := &waiter{room: r, ctx: t.Context(), tenure: &tenure{client: c, room: r, turn: make(chan struct{}, 1)}}
		w.place = r.queue.PushBack(w)
		w.tenure.take()
		given := make(chan struct{})
		go func() {
			defer close(given)
			c.retire(w.tenure) // as after a script that stayed unanswered
			w.tenure.give()
		}()
		for waiting := true; waiting; {
			r.mu.Lock()
			claimed := r.claimLocked(from)
			r.mu.Unlock()
			require.Nil(t, claimed)
			select {
			case <-given:
				waiting = false
			default:
			}
		}
	}
}
