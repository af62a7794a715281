package interop_test

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// vectorsFile has what the real Redisson did. See doc.go for how it is made.
const vectorsFile = "testdata/vectors.json"

// vectorNames are the names of the locks in it.
var vectorNames = []string{
	"orders", "app:{t1}:orders", "{orders}", "a{b", "{}x", "a}b", "two words\tand a tab", "one\r\ntwo\x00", `it's "quoted" \`, "заказ-№42-🔒",
}

// A vector is what happens to the lock of one name when the steps of the play are done
// in their order.
type vector struct {
	Name  string
	Steps []recorded
}

// A recorded step is what it came to, and what the server has and was told then.
type recorded struct {
	Step   string
	Result string
	// Hash is what lies at the lock's name, and Lease the time to live in milliseconds
	// that it was last given.
	Hash  map[string]string `json:",omitempty"`
	Lease string            `json:",omitempty"`
	// Messages are channels and payloads of what was published, Subscribed the channels
	// on which somebody began to listen; those that Redisson knows.
	Messages   [][]string `json:",omitempty"`
	Subscribed []string   `json:",omitempty"`
}

// The owners of the play, and the fields that stand for them in the file, because
// Redisson makes up a new id for every client.
var fields = map[string]string{
	"first":  "11111111-2222-3333-4444-555555555555:57",
	"second": "66666666-7777-8888-9999-aaaaaaaaaaaa:58",
	"brief":  "bbbbbbbb-cccc-dddd-eeee-ffffffffffff:59",
}

// briefly is the watchdog timeout of the owner "brief", whose renewals can be waited for.
const briefly = 1500 * time.Millisecond

// play is what is done to a lock. Where the two sides differ on purpose it does not go.
var play = []struct {
	owner, what string
	do          func(o owner, name string) string
}{
	{"first", "lock", func(o owner, name string) string { return outcome(o.lock(name)) }},
	{"first", "lock again", func(o owner, name string) string { return outcome(o.lock(name)) }},
	{"second", "tryLock", func(o owner, name string) string { return decision(o.tryLock(name)) }},
	{"second", "unlock", func(o owner, name string) string { return outcome(o.unlock(name)) }},
	{"second", bounded, func(o owner, name string) string { return decision(o.tryLockWithin(name, 50*time.Millisecond)) }},
	{"first", "unlock", func(o owner, name string) string { return outcome(o.unlock(name)) }},
	{"first", "unlock the last hold", func(o owner, name string) string { return outcome(o.unlock(name)) }},
	{"first", "unlock nothing", func(o owner, name string) string { return outcome(o.unlock(name)) }},
	{"second", "lock for 10 s", func(o owner, name string) string { return outcome(o.lockWithLease(name, 10*time.Second)) }},
	{"second", "lock again for a minute", func(o owner, name string) string { return outcome(o.lockWithLease(name, time.Minute)) }},
	{"first", "forceUnlock", func(o owner, name string) string { return decision(o.forceUnlock(name)) }},
	{"first", "forceUnlock nothing", func(o owner, name string) string { return decision(o.forceUnlock(name)) }},
	{"second", "unlock what was forced open", func(o owner, name string) string { return outcome(o.unlock(name)) }},
	{"second", "tryLock 0 ms for 1234 ms", func(o owner, name string) string {
		return decision(o.tryLockWithLease(name, 0, 1234*time.Millisecond))
	}},
	{"second", "unlock", func(o owner, name string) string { return outcome(o.unlock(name)) }},
	{"brief", "lock", func(o owner, name string) string { return outcome(o.lock(name)) }},
	{"brief", renewal, func(owner, string) string { return "" }},
	{"brief", "unlock", func(o owner, name string) string { return outcome(o.unlock(name)) }},
}

const (
	// bounded is the step in which somebody waits, as often as it takes to listen in time.
	bounded = "tryLock 50 ms"
	// renewal is the step in which the watchdog acts and nobody else.
	renewal = "wait for the watchdog"
)

// outcome and decision return in a word what a call came to.
func outcome(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, rlock.ErrNotHeld):
		return "not held"
	}
	return err.Error()
}

func decision(yes bool, err error) string {
	switch {
	case err != nil:
		return outcome(err)
	case yes:
		return "yes"
	}
	return "no"
}

func TestLibraryDoesWhatRedissonWasRecordedToDo(t *testing.T) {
	t.Parallel()
	recordings := readVectors(t)
	require.Len(t, recordings, len(vectorNames))
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			got := perform(t, func(t *testing.T, s *redistest.Server, watchdog time.Duration) owner {
				t.Helper()
				return newGoOwnerOn(t, s, append([]rlock.Option{rlock.WithWatchdogTimeout(watchdog)}, options...)...)
			})
			for i, want := range recordings {
				assert.Equal(t, want, got[i], "lock %q", want.Name)
			}
		})
	}
}

func readVectors(t *testing.T) (vectors []vector) {
	t.Helper()
	text, err := os.ReadFile(vectorsFile)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &vectors))
	return vectors
}

// perform lets owners act the play for every name on a server of their own, and
// returns what was seen of it.
func perform(t *testing.T, engage func(*testing.T, *redistest.Server, time.Duration) owner) (vectors []vector) {
	t.Helper()
	s := redistest.Start(t)
	actors := map[string]owner{
		"first":  engage(t, s, defaultWatchdog),
		"second": engage(t, s, defaultWatchdog),
		"brief":  engage(t, s, briefly),
	}
	roles := []string{}
	for role, actor := range actors {
		field := actor.field("")
		require.Regexp(t, regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:-?[0-9]+$`), field)
		roles = append(roles, field, fields[role])
	}
	anonymous := strings.NewReplacer(roles...)
	m := observe(t, s)
	for _, name := range vectorNames {
		v := vector{Name: name}
		m.sofar(t)
		lease := ""
		for _, scene := range play {
			r := recorded{Step: scene.owner + ": " + scene.what, Result: scene.do(actors[scene.owner], name), Lease: lease}
			switch scene.what {
			case bounded:
				for r.note(name, m.sofar(t)); r.Subscribed == nil; r.note(name, m.sofar(t)) {
					require.Equal(t, r.Result, scene.do(actors[scene.owner], name))
				}
			case renewal:
				r.note(name, m.until(t, func(command []string) bool { return isCommand(command, "PEXPIRE", name) }))
			default:
				r.note(name, m.sofar(t))
				r.Subscribed = nil // late
			}
			r.Hash = content(t, s, name)
			for field, holds := range r.Hash {
				delete(r.Hash, field)
				r.Hash[anonymous.Replace(field)] = holds
			}
			if r.Hash == nil {
				r.Lease = ""
			}
			lease = r.Lease
			v.Steps = append(v.Steps, r)
		}
		vectors = append(vectors, v)
	}
	return vectors
}

// note keeps of the commands what a peer of the other language may see.
func (r *recorded) note(name string, commands [][]string) {
	for _, command := range commands {
		switch {
		case isCommand(command, "PEXPIRE", name):
			r.Lease = command[2]
		case isCommand(command, "PUBLISH", "redisson_"):
			r.Messages = append(r.Messages, command[1:])
		case isCommand(command, "SUBSCRIBE", ""):
			for _, channel := range command[1:] {
				if strings.HasPrefix(channel, "redisson_") && strings.Contains(channel, name) && !slices.Contains(r.Subscribed, channel) {
					r.Subscribed = append(r.Subscribed, channel)
				}
			}
		}
	}
}

// isCommand reports whether a command has that name, in any case, and a first argument
// that begins so.
func isCommand(command []string, name, begin string) bool {
	return len(command) > 1 && strings.EqualFold(command[0], name) && strings.HasPrefix(command[1], begin)
}

// content returns the fields of a hash, nil if there is none.
func content(t *testing.T, s *redistest.Server, name string) map[string]string {
	t.Helper()
	reply, ok := s.Do(t, "HGETALL", name).([]any)
	require.True(t, ok)
	if len(reply) == 0 {
		return nil
	}
	fields := map[string]string{}
	for i := 0; i+1 < len(reply); i += 2 {
		field, isText := reply[i].(string)
		require.True(t, isText)
		fields[field], isText = reply[i+1].(string)
		require.True(t, isText)
	}
	return fields
}
