// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/tables"
)

// goString is a string literal of a hand-written Go file.
type goString struct {
	pos  token.Position
	text string
}

// nameLists returns the lists of at least three strings in hand-written Go: composite literals,
// the cases of a switch, the arguments of a call. Tests are left out: they make the calls that
// they name, and fail if a name is wrong.
func nameLists(tb testing.TB) [][]goString {
	tb.Helper()
	var out [][]goString
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
			var words []goString
			for _, e := range elements {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					e = kv.Key
				}
				if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if text, err := strconv.Unquote(lit.Value); err == nil {
						words = append(words, goString{set.Position(lit.Pos()), text})
					}
				}
			}
			if len(words) >= 3 {
				out = append(out, words)
			}
			return true
		})
		return nil
	}))
	require.Greater(tb, files, 100)
	return out
}

// callNames returns all names of calls, events and tracepoints in the table.
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

// helperNames returns the names of the drivers' helpers and conversions in the table. A
// test of package guest compares its functions with the table's.
func helperNames(t *tables.Table) map[string]bool {
	names := make(map[string]bool)
	for _, h := range t.Helpers {
		if h.Kind == "value" || h.Kind == "param" {
			names[h.Name] = true
		}
	}
	for _, s := range t.Flags {
		names[s.Name] = true
	}
	return names
}

// unknownNames returns the words of l that are not known names, if l is a list of such
// names: if more than half of its words, and at least three, are known.
func unknownNames(l []goString, known map[string]bool) (unknown []goString, isList bool) {
	for _, w := range l {
		if !known[w.text] {
			unknown = append(unknown, w)
		}
	}
	n := len(l) - len(unknown)
	return unknown, n >= 3 && n > len(unknown)
}

// Nothing else reports a misspelt name in a hand-written list: the call, or the helper, is
// then not in the list.
func TestHandWrittenListsNameWhatTheTableHas(t *testing.T) {
	table := mustLoad(t, filepath.Join(root, "tables"))
	lists := nameLists(t)
	for what, known := range map[string]map[string]bool{"call": callNames(table), "helper": helperNames(table)} {
		sorted := slices.Sorted(maps.Keys(known))
		found, errs := 0, []string(nil)
		for _, l := range lists {
			unknown, isList := unknownNames(l, known)
			if !isList {
				continue
			}
			found++
			t.Logf("%s: %d names, each a %s", l[0].pos, len(l), what)
			for _, w := range unknown {
				errs = append(errs, fmt.Sprintf("%s: the table has no %s %s%s", w.pos, what, w.text, hint.DidYouMean(w.text, sorted)))
			}
		}
		require.Empty(t, errs)
		require.NotZero(t, found, "lists of %ss", what)
	}
}

// moddiff names the event that it expects of each call it makes, one at a time.
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
