//go:build interop

package interop_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-rlock/rlock/internal/redistest"
	"github.com/go-rlock/rlock/rlock"
)

// readGuide returns the migration guide.
func readGuide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/redisson.md")
	require.NoError(t, err)
	return string(text)
}

func TestGuideNamesEveryMethodOfRLock(t *testing.T) {
	t.Parallel()
	guide := readGuide(t)
	a := newJavaOwner(t, defaultWatchdog).ask("methods")
	require.NoError(t, a.err)
	methods := strings.Fields(a.value)
	require.GreaterOrEqual(t, len(methods), 20)
	for _, method := range methods {
		assert.True(t, strings.Contains(guide, "`"+method+"("), method)
	}
}

func TestGuideNamesOnlyTestsThatExist(t *testing.T) {
	t.Parallel()
	sources, err := os.ReadDir(".")
	require.NoError(t, err)
	var text strings.Builder
	for _, source := range sources {
		if strings.HasSuffix(source.Name(), "_test.go") {
			content, err := os.ReadFile(source.Name())
			require.NoError(t, err)
			text.Write(content)
		}
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(readGuide(t), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		assert.Contains(t, text.String(), "func "+name[1]+"(t *testing.T)")
	}
}

// TestGuidesRightsSuffice gives both sides a user with the rights that the guide names
// and lets them live through everything.
func TestGuidesRightsSuffice(t *testing.T) {
	t.Parallel()
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			const watchdog = 1500 * time.Millisecond
			s := redistest.Start(t)
			rules := regexp.MustCompile(`(?m)^ACL SETUSER (\S+) on >(\S+) .*$`).FindAllStringSubmatch(readGuide(t), -1)
			require.Len(t, rules, 2)
			for _, rule := range rules {
				s.Do(t, strings.Fields(rule[0])...)
			}
			there, here := rules[0], rules[1]
			java := shared.connect(t, there[1]+":"+there[2]+"@"+s.Addr(), watchdog)
			rdb := s.Client(t, func(o *rueidis.ClientOption) { // all else is as rueidis has it by default
				*o = rueidis.ClientOption{InitAddress: o.InitAddress, Username: here[1], Password: here[2]}
			})
			client, err := rlock.New(rdb, append([]rlock.Option{rlock.WithWatchdogTimeout(watchdog)}, options...)...)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, client.Close()) })

			owners := []owner{java.owner("1"), anotherGoOwner(t, client), java.owner("2"), anotherGoOwner(t, client)}
			for i, o := range owners {
				name, next := "orders:"+fresh(t), owners[(i+1)%len(owners)]
				require.NoError(t, o.lock(name))
				require.NoError(t, o.lockWithLease(name, 2*watchdog))
				assertResult(t, 2)(o.holdCount(name))
				assertResult(t, false)(next.tryLockWithin(name, 2*watchdog/3)) // it is renewed meanwhile
				ttl, err := next.ttl(name)
				require.NoError(t, err)
				require.Positive(t, ttl)
				waiting := inBackground(func() error { return next.lock(name) })
				require.NoError(t, o.unlock(name))
				require.NoError(t, o.unlock(name))
				await(t, waiting)
				assertResult(t, true)(o.forceUnlock(name))
			}
			refused := refusals(t, s)
			delete(refused, "test1")          // Redisson asks for the slots of two made-up keys
			delete(refused, "client|setinfo") // a name for CLIENT LIST
			delete(refused, "cluster|slots")  // rueidis asks whether this is a cluster
			delete(refused, "cluster|shards") // the same, of servers from version 8 on
			assert.Empty(t, refused)
		})
	}
}

// refusals returns what the server has refused by its ACL, with the reasons.
func refusals(t *testing.T, s *redistest.Server) map[string]string {
	t.Helper()
	entries, ok := s.Do(t, "ACL", "LOG").([]any)
	require.True(t, ok)
	refused := map[string]string{}
	for _, entry := range entries {
		pairs, ok := entry.([]any)
		require.True(t, ok)
		facts := map[string]string{}
		for i := 0; i+1 < len(pairs); i += 2 {
			facts[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
		}
		refused[facts["object"]] = facts["reason"] + " of " + facts["username"]
	}
	return refused
}
