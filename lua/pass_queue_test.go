package lua_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

func TestEveryTenthTicketKeepsTheQueueAlive(t *testing.T) {
	const s = time.Second
	served := func(name string, attempt uint64, before, after time.Duration) row {
		message := grants(you) + " grant " + you + lua.Ticket("", attempt, 0)
		return row{
			name: name, before: hash(20*s, me, "1"), tickets: list(before, lua.Ticket(you, attempt, 30*s), theirs),
			attend: []string{grants(you)}, run: pass(),
			reply: toStranger(3 * s), after: hash(3*s, you, "1"), queued: list(after, theirs),
			says: []string{message[:len(message)-1] + "@ 3000 4 0"}, again: passedBefore(3 * s),
		}
	}
	last := served("RunsEmpty", 10, 40*s, 0)
	last.tickets, last.queued = list(40*s, lua.Ticket(you, 10, 30*s)), nothing
	check(t, []row{
		served("Tenth", 10, 40*s, 60*s),
		served("Hundredth", 100, 40*s, 60*s),
		served("First", 0, 40*s, 60*s),
		served("WithoutExpiry", 20, eternal, 60*s),
		served("NeverShortened", 20, 80*s, 80*s),
		served("Ninth", 9, 40*s, 40*s),
		served("OneHundredAndFirst", 101, 40*s, 40*s),
		last,
	})
}

// Three clients hand the lock round for an hour. There is always a ticket in the queue,
// so that none of them is ever the first, whose ticket would set the queue's life anew.
func TestBusyQueueDoesNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		w := world{client()}
		owners := []string{me, you, "77777777-2222-3333-4444-555555555555:1"}
		const lease = 30 * time.Second
		ask := func(owner string, attempt int) lua.Enqueued {
			asked, err := lua.Enqueue(t.Context(), w, lua.Enqueuing{
				Key: key, Queue: queue, Owner: owner, Lease: lease, Ticket: lua.Ticket(owner, uint64(attempt), lease), //nolint:gosec // not negative
			})
			require.NoError(t, err)
			return asked
		}
		for i, owner := range owners {
			w.attend(t, grants(owner))
			require.Equal(t, i == 0, ask(owner, 1).Status == lua.Done)
		}
		for hop := range 1800 {
			time.Sleep(2 * time.Second)
			p := passing()
			p.Owner = owners[hop%3]
			passed, err := lua.Pass(t.Context(), w, p)
			require.NoError(t, err)
			require.Equal(t, lua.Stranger, passed.Successor, "hand-over %d", hop)
			require.Equal(t, lua.NotOwner, ask(p.Owner, 2+hop/3).Status)
		}
	})
}

// The list must not outlive its tickets' owners for ever, nor expire under them.
func TestNeighboursTicketKeepsTheQueueAMinuteLongerThanItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		w := world{client()}
		w.attend(t, grants(you))
		w.put(t, key, hash(20*time.Second, me, "1"))
		w.put(t, queue, list(time.Second, yours))
		p := passing()
		p.Neighbour, p.Lease, p.Ticket = neighbour, 10*time.Minute+time.Nanosecond, next
		_, err := lua.Pass(t.Context(), w, p)
		require.NoError(t, err)
		require.Equal(t, list(11*time.Minute+time.Millisecond, next), w.get(t, queue))
	})
}
