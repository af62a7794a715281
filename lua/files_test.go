package lua_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scripts returns the text of every .lua file of the package, by its name without the
// ending.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.lua")
	require.NoError(t, err)
	texts := make(map[string]string, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[strings.TrimSuffix(file, ".lua")] = string(text)
	}
	require.Len(t, texts, 12+len(parts))
	for _, part := range parts {
		require.Contains(t, texts, part)
	}
	return texts
}

// parts are files that scripts begin with which use them.
var parts = []string{"follower", "shorter"}

// header returns the comment that a script begins with, without the dashes.
func header(script string) string {
	var b strings.Builder
	for line := range strings.Lines(script) {
		text, ok := strings.CutPrefix(line, "--")
		if !ok {
			break
		}
		b.WriteString(text)
	}
	return b.String()
}

func TestEveryScriptBeginsWithItsContract(t *testing.T) {
	for name, script := range scripts(t) {
		t.Run(name, func(t *testing.T) {
			about := header(script)
			assert.True(t, strings.HasPrefix(about, " "+name+": "), "the first line names the script and says what it does")
			if !slices.Contains(parts, name) {
				assert.Contains(t, about, "\n KEYS[")
				assert.Contains(t, about, "\n Returns ")
			}
			assert.Contains(t, about, "\n Twice is harmless")
			assert.Regexp(t, `\.\n$`, about)

			// Each slot that the script uses is described, and no other.
			slot := regexp.MustCompile(`(KEYS|ARGV)\[[^\]]+\]`)
			normal := func(slots []string) []string {
				for i, s := range slots {
					slots[i] = strings.NewReplacer(" ", "", "*", "").Replace(s)
				}
				slices.Sort(slots)
				return slices.Compact(slots)
			}
			code := strings.ReplaceAll(script[len(header(script)):], "ipairs(KEYS)", "KEYS[i]")
			described := normal(slot.FindAllString(about, -1))
			for _, used := range normal(slot.FindAllString(code, -1)) {
				assert.Contains(t, described, used)
			}
		})
	}
}

func TestEveryScriptIsEmbeddedAndHasOneExportedFunction(t *testing.T) {
	callers := make(map[string][]string) // of each script's variable
	embedded := make(map[string]string)  // file → variable
	built := make(map[string]string)     // source variable → script variable
	look := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			ast.Inspect(n.Body, func(inner ast.Node) bool {
				if id, ok := inner.(*ast.Ident); ok && strings.HasSuffix(id.Name, "Script") {
					callers[id.Name] = append(callers[id.Name], n.Name.Name)
				}
				return true
			})
			return false
		case *ast.GenDecl:
			if spec, ok := n.Specs[0].(*ast.ValueSpec); ok && n.Doc != nil && !n.Lparen.IsValid() {
				spec.Doc = n.Doc
			}
		case *ast.ValueSpec:
			if n.Doc != nil {
				if name, ok := strings.CutPrefix(n.Doc.List[0].Text, "//go:embed "); ok {
					embedded[name] = n.Names[0].Name
				}
			}
			for i, value := range n.Values {
				if call, ok := value.(*ast.CallExpr); ok && len(call.Args) == 1 {
					source := call.Args[0]
					if sum, ok := source.(*ast.BinaryExpr); ok { // behind a part
						source = sum.Y
					}
					if source, ok := source.(*ast.Ident); ok {
						built[source.Name] = n.Names[i].Name
					}
				}
			}
		}
		return true
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			require.NoError(t, err)
			ast.Inspect(file, look)
		}
	}

	for name := range scripts(t) {
		t.Run(name, func(t *testing.T) {
			source := embedded[name+".lua"]
			require.NotEmpty(t, source, "no variable embeds it")
			if slices.Contains(parts, name) {
				return
			}
			variable := built[source]
			require.NotEmpty(t, variable, "no script is made of it")
			functions := callers[variable]
			require.Len(t, functions, 1, "one function runs it")
			camel := strings.ReplaceAll(name, "_", "")
			assert.Equal(t, camel, strings.ToLower(functions[0]))
			assert.True(t, ast.IsExported(functions[0]))
		})
	}
}

// commands returns the Redis commands that a script calls.
func commands(script string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`redis\.p?call\('([A-Z]+)'`).FindAllStringSubmatch(script, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// allCommands returns the Redis commands of all scripts.
func allCommands(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, script := range scripts(t) {
		all = append(all, commands(script)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestDocumentedCommandsAreThoseOfTheScripts(t *testing.T) {
	text, err := os.ReadFile("../rlock/doc.go")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "commands: ")
	require.True(t, found)
	list, _, found := strings.Cut(rest, "(HELLO, CLIENT)")
	require.True(t, found)
	documented := regexp.MustCompile(`\b[A-Z]{3,}\b`).FindAllString(list, -1)
	needed := append(allCommands(t), "EVAL", "EVALSHA", "SUBSCRIBE", "UNSUBSCRIBE", "PING")
	assert.ElementsMatch(t, needed, documented)
}
