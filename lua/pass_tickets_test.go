package lua_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/embedded/bubble"
	"github.com/go-rlock/rlock/lua"
)

// grant returns the message, behind its channel, that the owner of a ticket with the
// attempt number 7 is the holder. @ stands for the server's time.
func grant(owner string, first time.Duration, run, behind int) string {
	return fmt.Sprintf("%s grant %s 7 @ %d %d %d", grants(owner), owner, first.Milliseconds(), run, behind)
}

// look returns the message that tells a ticket's client when to look.
func look(ticket string, first time.Duration) string {
	return fmt.Sprintf("%s look %d", grants(ticket), first.Milliseconds())
}

// dead returns the tickets of n clients that do not listen.
func dead(n int) []string {
	tickets := make([]string, n)
	for i := range tickets {
		tickets[i] = fmt.Sprintf("dead-%d:%d 7 30000", i, i)
	}
	return tickets
}

func TestPassServesTheFirstTicketWhoseClientListens(t *testing.T) {
	const s = time.Second
	served := func(name string, tickets, queued content, run ...func(*lua.Passing)) row {
		return row{
			name: name, before: hash(20*s, me, "2"), tickets: tickets, attend: []string{grants(you)}, run: pass(run...),
			reply: toStranger(3 * s), after: hash(3*s, you, "1"), queued: queued,
			says: []string{grant(you, 3*s, 4, 0)}, again: passedBefore(3 * s),
		}
	}
	both := served("InTheirOrder", list(40*s, yours, theirs), list(40*s, theirs))
	both.attend = []string{grants(you), grants(theirs)}
	crowd := served("SeveralConnections", list(40*s, yours), nothing)
	crowd.attend = []string{grants(you), grants(you)}
	eternalLock := served("WithoutExpiry", list(40*s, yours), nothing)
	eternalLock.before = hash(eternal, me, "1")
	self := served("OwnTicketsAreNotServedByOneThatCloses", list(40*s, mine, next, yours, mine), list(40*s, mine), closing)
	self.attend = []string{grants(me), grants(you)}
	check(t, []row{
		served("OnlyOne", list(40*s, yours), nothing),
		served("DeadOnesInFront", list(40*s, append(dead(2), yours, theirs)...), list(40*s, theirs)),
		served("AsManyDeadOnesAsFit", list(40*s, append(dead(15), yours, theirs)...), list(40*s, theirs)),
		served("NeighbourLinesUp", list(40*s, yours, theirs), list(40*s, theirs, next), lining),
		served("NeighbourLinesUpAlone", list(40*s, yours), list(90*s, next), lining),
		served("NeighbourWithoutATicket", list(40*s, yours, theirs), list(40*s, theirs), beside),
		both, crowd, eternalLock, self,
	})
}

func TestPassSkipsMalformedTickets(t *testing.T) {
	const s = time.Second
	client, _, _ := strings.Cut(you, ":")
	attend := []string{grants(you), "rlock_grant:" + tail + ":", "rlock_grant:" + tail + ":a b"}
	for name, ticket := range map[string]string{
		"Empty":            "",
		"Garbage":          "\x00\xff \r\n garbage",
		"OnlyAnOwner":      you,
		"NoLease":          you + " 7",
		"NoAttempt":        you + "  30000",
		"NoNumber":         client + ": 7 30000",
		"NoColon":          client + " 7 30000",
		"NoClient":         ":1 7 30000",
		"ClientOfTwoWords": "a b:1 7 30000",
		"TextualAttempt":   you + " seven 30000",
		"NegativeAttempt":  you + " -7 30000",
		"TextualLease":     you + " 7 long",
		"NegativeLease":    you + " 7 -30000",
		"EmptyLease":       you + " 7 0",
		"Fraction":         you + " 7 30000.5",
		"Hexadecimal":      you + " 7 0x7530",
		"TrailingText":     you + " 7 30000 more",
		"TrailingSpace":    you + " 7 30000 ",
		"LeadingSpace":     " " + you + " 7 30000",
	} {
		t.Run(name, func(t *testing.T) {
			check(t, []row{
				{
					name: "BeforeAGoodOne", before: hash(20*s, me, "1"), tickets: list(40*s, ticket, yours), attend: attend, run: pass(),
					reply: toStranger(3 * s), after: hash(3*s, you, "1"), says: []string{grant(you, 3*s, 4, 0)}, again: passedBefore(3 * s),
				},
				{
					name: "Alone", before: hash(20*s, me, "1"), tickets: list(40*s, ticket), attend: attend, run: pass(),
					reply: toNobody, after: nothing, says: []string{freed}, again: notPassed,
				},
			})
		})
	}
}

func TestPassSkipsAtMost16DeadTickets(t *testing.T) {
	const s = time.Second
	crowd := append(dead(40), yours)
	own := slices.Repeat([]string{mine}, 16)
	attend := []string{grants(you), grants(me)}
	check(t, []row{
		{
			name: "Public", before: hash(20*s, me, "1"), tickets: list(40*s, crowd...), attend: attend, run: pass(),
			reply: toNobody, after: nothing, queued: list(40*s, crowd[16:]...), says: []string{freed}, again: notPassed,
		},
		{
			name: "Neighbour", before: hash(20*s, me, "1"), tickets: list(40*s, crowd...), attend: attend, run: pass(lining),
			reply: toNeighbour, after: hash(30*s, neighbour, "1"), queued: list(40*s, crowd[16:]...), again: hadBefore,
		},
		{
			name: "OneMoreThanFit", before: hash(20*s, me, "1"), tickets: list(40*s, append(dead(16), yours)...), attend: attend, run: pass(),
			reply: toNobody, after: nothing, queued: list(40*s, yours), says: []string{freed}, again: notPassed,
		},
		{
			name: "OwnTicketsCount", before: hash(20*s, me, "1"), tickets: list(40*s, append(own, yours)...), attend: attend, run: pass(closing),
			reply: toNobody, after: nothing, queued: list(40*s, yours), says: []string{freed}, again: notPassed,
		},
	})
}

func TestNextReleaseGoesOnAmongTheDeadTickets(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			w.attend(t, grants(you))
			w.put(t, queue, list(40*time.Second, append(dead(40), yours)...))
			var successors []lua.Successor
			for range 3 {
				w.put(t, key, hash(20*time.Second, me, "1"))
				passed, err := lua.Pass(t.Context(), w, passing())
				require.NoError(t, err)
				successors = append(successors, passed.Successor)
			}
			assert.Equal(t, []lua.Successor{lua.Nobody, lua.Nobody, lua.Stranger}, successors)
			w.requireContent(t, queue, nothing)
		})
	}
}

// A monitoring tool listens to everything by a pattern. That is nobody to be served.
func TestPatternListenerMakesNoDeadClientLookAlive(t *testing.T) {
	for name, connect := range worlds {
		t.Run(name, func(t *testing.T) {
			w := connect(t)
			for _, pattern := range []string{"*", "rlock_grant:*", grants(you)} {
				w.subscribe(t, nil, "PSUBSCRIBE", pattern)
			}
			w.put(t, key, hash(20*time.Second, me, "1"))
			w.put(t, queue, list(40*time.Second, yours))
			passed, err := lua.Pass(t.Context(), w, passing())
			require.NoError(t, err)
			assert.Equal(t, toNobody, passed)
			w.requireContent(t, key, nothing)
		})
	}
}

func TestFirstLeaseIsWhatTheTicketAsksButAtMost3Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		w := world{client()}
		w.attend(t, grants(you))
		e := w.listen(t)
		for lease, first := range map[time.Duration]time.Duration{
			time.Nanosecond:                     time.Millisecond,
			time.Millisecond:                    time.Millisecond,
			1500 * time.Microsecond:             2 * time.Millisecond,
			2999 * time.Millisecond:             2999 * time.Millisecond,
			3 * time.Second:                     3 * time.Second,
			3*time.Second + time.Nanosecond:     3 * time.Second,
			10 * time.Minute:                    3 * time.Second,
			time.Duration(1<<63 - 1):            3 * time.Second,
			999*time.Millisecond + 1:            time.Second,
			2*time.Second + 500*time.Nanosecond: 2001 * time.Millisecond,
		} {
			w.put(t, key, hash(20*time.Second, me, "1"))
			w.put(t, queue, list(eternal, lua.Ticket(you, 7, lease), theirs))
			p := passing()
			p.Behind = -1
			passed, err := lua.Pass(t.Context(), w, p)
			require.NoError(t, err)
			require.Equal(t, toStranger(first), settled(passed, toStranger(first)))
			require.Equal(t, hash(first, you, "1"), w.get(t, key), "for %v", lease)
			require.Equal(t, []string{grant(you, first, 4, 1), look(theirs, first)}, timeless(e.heard(t), passed))
			w.do(t, "DEL", key, queue)
		}
	})
}

func TestGrantTellsTheServersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := bubble.New(t)
		w := world{client()}
		w.attend(t, grants(you))
		w.put(t, key, hash(20*time.Second, me, "1"))
		w.put(t, queue, list(40*time.Second, yours))
		time.Sleep(1234567 * time.Microsecond)
		e := w.listen(t)
		passed, err := lua.Pass(t.Context(), w, passing())
		require.NoError(t, err)
		require.True(t, time.Now().Equal(passed.Time), "%v at %v", passed.Time, time.Now())
		want := fmt.Sprintf("%s grant %s 7 %d 234567 3000 4 0", grants(you), you, time.Now().Unix())
		require.Equal(t, []string{want}, e.heard(t))
	})
}
