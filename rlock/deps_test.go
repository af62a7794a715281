package rlock_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whoever imports the package gets these modules, and none of those that its tests and
// its command need.
func TestImportersGetFewModules(t *testing.T) {
	allowed := []string{
		"github.com/go-rlock/rlock",
		"github.com/google/uuid",
		"github.com/petermattis/goid",
		"github.com/redis/rueidis",
		"golang.org/x/sys", // of rueidis
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	var stderr strings.Builder
	list.Stderr = &stderr
	out, err := list.Output()
	require.NoError(t, err, stderr.String())
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	for _, module := range slices.Compact(modules) {
		assert.Contains(t, allowed, module)
	}
	assert.Contains(t, modules, "github.com/redis/rueidis", "the list is empty")
}

// The leaves do not know each other, and what is internal is for tests and the command.
func TestPackagesImportOneWay(t *testing.T) {
	const module = "github.com/go-rlock/rlock/"
	allowed := map[string][]string{
		"rlock":    {"lua", "pubsub", "watchdog"},
		"lua":      nil,
		"pubsub":   nil,
		"watchdog": nil,
	}
	for name, want := range allowed {
		list := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, module+name)
		out, err := list.Output()
		require.NoError(t, err)
		for path := range strings.FieldsSeq(string(out)) {
			if ours, ok := strings.CutPrefix(path, module); ok {
				assert.Contains(t, want, ours, name)
			}
			if name == "watchdog" {
				assert.NotContains(t, path, "redis")
			}
		}
	}
}
