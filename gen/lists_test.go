// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/tables"
)

// nameList is the strings of a list in Go: a composite literal, the cases of a switch, or the
// arguments of a call.
type nameList struct {
	pos   string
	words []string
}

// nameLists are the lists of at least three strings in the code by hand. What tests expect
// of real calls fails by itself when a name is wrong.
func nameLists(tb testing.TB) []nameList {
	tb.Helper()
	var out []nameList
	files := 0
	require.NoError(tb, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == "testdata" || strings.HasPrefix(name, ".") && path != root {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_gen.go") {
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			var elements []ast.Expr
			switch n := n.(type) {
			case *ast.CompositeLit:
				elements = n.Elts
			case *ast.CallExpr:
				elements = n.Args
			case *ast.SwitchStmt:
				for _, c := range n.Body.List {
					elements = append(elements, c.(*ast.CaseClause).List...)
				}
			}
			var words []string
			for _, e := range elements {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					e = kv.Key
				}
				if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if word, err := strconv.Unquote(lit.Value); err == nil {
						words = append(words, word)
					}
				}
			}
			if len(words) >= 3 {
				out = append(out, nameList{set.Position(n.Pos()).String(), words})
			}
			return true
		})
		return nil
	}))
	require.Greater(tb, files, 100)
	return out
}

// callNames are all names of calls, of events and of tracepoints that the table has.
func callNames(t *tables.Table) map[string]bool {
	names := make(map[string]bool)
	for _, s := range t.Syscalls {
		names[s.Name] = true
	}
	for _, id := range t.IDs {
		names[id.Name] = true
	}
	for _, e := range t.Events {
		names[e.Name] = true
	}
	for _, name := range tables.Tracepoints() {
		names[name] = true
	}
	return names
}

// A list by hand most of whose words are names of calls has no word that is none: a
// misspelt name would be silent.
func TestListsOfCallsNameCallsOfTheTable(t *testing.T) {
	known := callNames(mustLoad(t, filepath.Join(root, "tables")))
	sorted := slices.Sorted(func(yield func(string) bool) {
		for name := range known {
			if !yield(name) {
				return
			}
		}
	})
	var found []string
	for _, l := range nameLists(t) {
		var unknown []string
		for _, w := range l.words {
			if !known[w] {
				unknown = append(unknown, fmt.Sprintf("%s%s", w, hint.DidYouMean(w, sorted)))
			}
		}
		if n := len(l.words) - len(unknown); n < 3 || n <= len(unknown) {
			continue
		}
		found = append(found, l.pos)
		require.Empty(t, unknown, "%s: a list of calls names some that the table does not have", l.pos)
	}
	t.Logf("lists by hand:\n%s", strings.Join(found, "\n"))
	require.NotEmpty(t, found)
}

// The comparison of the modules makes calls and wants their events by name, one by one.
func TestWorkloadOfTheModulesNamesCallsOfTheTable(t *testing.T) {
	known := callNames(mustLoad(t, filepath.Join(root, "tables")))
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, filepath.Join(root, "internal", "cmd", "moddiff", "workload_linux.go"), nil, 0)
	require.NoError(t, err)
	checked := 0
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		lit, isText := call.Args[0].(*ast.BasicLit)
		if ok && isText && (method.Sel.Name == "want" || method.Sel.Name == "good") {
			name, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			require.True(t, known[name], "%s: the table has no call %s", set.Position(lit.Pos()), name)
			checked++
		}
		return true
	})
	require.Greater(t, checked, 50)
}
