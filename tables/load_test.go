// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// base is a small table without errors, in which a bad file replaces a good one.
func base(tb testing.TB) fstest.MapFS {
	tb.Helper()
	out := fstest.MapFS{}
	for name, src := range tableFiles(tb, filepath.Join("testdata", "base")) {
		out[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return out
}

// tableFiles are the files of a table by their names in dir, parts included.
func tableFiles(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"*.yaml", partDir + "/*.yaml", LockFile} {
		names, err := fs.Glob(os.DirFS(dir), pattern)
		require.NoError(tb, err)
		for _, name := range names {
			src, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(tb, err)
			out[name] = string(src)
		}
	}
	require.NotEmpty(tb, out)
	return out
}

func errorsOf(tb testing.TB, fsys fs.FS) ErrorList {
	tb.Helper()
	table, err := LoadFS(fsys)
	if err == nil {
		return nil
	}
	require.Nil(tb, table)
	var list ErrorList
	require.ErrorAs(tb, err, &list)
	require.NotEmpty(tb, list)
	return list
}

func TestBaseIsClean(t *testing.T) {
	require.Empty(t, errorsOf(t, base(t)))
}

// Each file of testdata/bad replaces the file that its name starts with; "part" is the
// part of class file, which the root then includes, "stray" a part that it does not.
func badTables(tb testing.TB) map[string]string {
	tb.Helper()
	paths, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(tb, err)
	require.NotEmpty(tb, paths)
	out := map[string]string{}
	for _, p := range paths {
		src, err := os.ReadFile(p)
		require.NoError(tb, err)
		out[filepath.Base(p)] = string(src)
	}
	return out
}

// badFile returns the file that a file of testdata/bad replaces.
func badFile(fsys fstest.MapFS, name string) string {
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "part":
		fsys["syscalls.yaml"] = &fstest.MapFile{Data: []byte("schema: 1\ninclude: [syscalls/file.yaml]\n")}
		return partDir + "/file.yaml"
	case "stray":
		return partDir + "/net.yaml"
	default:
		return kind + ".yaml"
	}
}

func loadBad(tb testing.TB, name, src string) ErrorList {
	tb.Helper()
	fsys := base(tb)
	file := badFile(fsys, name)
	fsys[file] = &fstest.MapFile{Data: []byte(src)}
	list := errorsOf(tb, fsys)
	for _, e := range list {
		require.Equal(tb, file, e.Pos.File, e)
	}
	return list
}

func TestBadTables(t *testing.T) {
	for name, src := range badTables(t) {
		t.Run(name, func(t *testing.T) {
			var got []testutil.LineError
			for _, e := range loadBad(t, name, src) {
				text := e.Msg
				if e.Subject != "" {
					text = e.Subject + ": " + e.Msg
				}
				got = append(got, testutil.LineError{Line: e.Pos.Line, Col: e.Pos.Col, Text: text})
			}
			testutil.Annotated(t, "testdata/bad/"+name, src, got)
		})
	}
}

// If a message quotes a word, the word is at the place of the error.
func TestColumnsPointAtTheWord(t *testing.T) {
	quoted := regexp.MustCompile(`^(?:unknown (?:\w+ )*|fd names no param |want names no exit param |variable )(\$?[\w]+)(?: \(|,| is not|$)`)
	checked := 0
	for name, src := range badTables(t) {
		lines := strings.Split(src, "\n")
		for _, e := range loadBad(t, name, src) {
			m := quoted.FindStringSubmatch(e.Msg)
			if m == nil {
				continue
			}
			at := strings.TrimLeft(lines[e.Pos.Line-1][e.Pos.Col-1:], `"'-`)
			require.True(t, strings.HasPrefix(at, m[1]), "%s: %s", e, at)
			checked++
		}
	}
	require.Greater(t, checked, 30)
}

// Every message in this package's source is in the errors of a bad table, or listed
// here.
func TestEveryRuleHasAFixture(t *testing.T) {
	testutil.SkipUnderRace(t)
	var given []string
	for name, src := range badTables(t) {
		for _, e := range loadBad(t, name, src) {
			given = append(given, e.Msg)
		}
	}
	for _, src := range []string{"", "a: \xff", "a: 1\rb: 2", strings.Repeat("[", 20000),
		"schema: 1\nsyscalls: [{syscall: s(), class: file, nr: 1, event: 0x8001, state: " + strings.Repeat("~", 20000) + "}]"} {
		for _, e := range loadBad(t, "syscalls", src) {
			given = append(given, e.Msg)
		}
	}
	for _, m := range slices.Concat(mutations, additions) {
		for _, e := range mutated(t, m) {
			given = append(given, e.Msg)
		}
	}
	rules := messages(t)
	require.GreaterOrEqual(t, len(rules), 40)
	verb := regexp.MustCompile(`%[-+#0-9]*[a-z]`)
	for _, format := range rules {
		parts := verb.Split(format, -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		re := regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$")
		found := false
		for _, msg := range given {
			found = found || re.MatchString(msg)
		}
		require.True(t, found, "no bad table gives %q", format)
	}
}

// messages returns the formats that error functions are called with.
func messages(tb testing.TB) []string {
	tb.Helper()
	paths, err := filepath.Glob("*.go")
	require.NoError(tb, err)
	var out []string
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") || p == "format.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		require.NoError(tb, err)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			index := map[string]int{"Add": 2, "errorf": 1, "sigErrorf": 1}
			name := ""
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = f.Sel.Name
			case *ast.Ident:
				name = f.Name
			}
			i, ok := index[name]
			if !ok || len(call.Args) <= i {
				return true
			}
			if lit, ok := call.Args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				format, err := strconv.Unquote(lit.Value)
				require.NoError(tb, err)
				if format != "%s" {
					out = append(out, format)
				}
			}
			return true
		})
	}
	return out
}

func TestFilesThatCannotBeRead(t *testing.T) {
	fsys := base(t)
	delete(fsys, "flags.yaml")
	list := errorsOf(t, fsys)
	require.Len(t, list, 1)
	require.EqualError(t, list[0], "flags.yaml:1:1: open flags.yaml: file does not exist")

	_, err := Load("testdata/none")
	require.ErrorContains(t, err, "testdata/none/flags.yaml:1:1: ")
}

// The YAML package names the line before a tab, and none for a control character.
func TestBadCharactersAreFound(t *testing.T) {
	for src, want := range map[string]string{
		"schema: 1\nsyscalls:\n- syscall: s()\n  nr: 1\n \tclass: file\n": "syscalls.yaml:5:2: bad YAML: found a tab character that violates indentation",
		"schema: 1\nsyscalls: [\"\u00e9\x01\"]\n":                         "syscalls.yaml:2:14: bad YAML: control characters are not allowed",
	} {
		fsys := base(t)
		fsys["syscalls.yaml"] = &fstest.MapFile{Data: []byte(src)}
		_, err := LoadFS(fsys)
		require.EqualError(t, err, want)
	}
}

func TestErrorsAreSortedAndSaidOnce(t *testing.T) {
	fsys := base(t)
	fsys["events.yaml"] = &fstest.MapFile{Data: []byte(`schema: 1
groups:
- group: g
  params: [{a: {type: nosuch}}]
events:
- {event: 2, name: x, class: file, params: [{use: g}, {b: nosuch}]}
- {event: 4, name: y, class: file, params: [{use: g}]}
`)}
	_, err := LoadFS(fsys)
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 2)
	require.Equal(t, "events.yaml:4:23: g: a: unknown type nosuch", lines[0])
	require.Equal(t, "events.yaml:6:59: x: b: unknown type nosuch", lines[1])
	var one *Error
	require.True(t, errors.As(err, &one))
	require.Equal(t, 4, one.Pos.Line)
}

func FuzzLoadTable(f *testing.F) {
	for name, src := range badTables(f) {
		f.Add(badFile(base(f), name), src)
	}
	for _, dir := range []string{"base", "good"} {
		for name, src := range tableFiles(f, filepath.Join("testdata", dir)) {
			f.Add(name, src)
		}
	}
	for _, s := range []string{"schema: 1\nsyscalls:\n- syscall: \"a\\\n   (int b)\"\n", "schema: 1\nflags:\n- set: >\n   x\n", "- - -", "? a", "%YAML 1.1\n---\na"} {
		f.Add("syscalls.yaml", s)
	}
	f.Fuzz(func(t *testing.T, name, src string) {
		fsys := base(t)
		if name == partDir+"/file.yaml" {
			badFile(fsys, "part")
		} else if _, known := fsys[name]; !known && name != "ids.yaml" {
			return
		}
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
		table, err := LoadFS(fsys)
		if err == nil {
			want := dump(table)
			out, err := Format("t.yaml", []byte(src))
			if err != nil {
				return // a layout that Format leaves alone
			}
			fsys[name] = &fstest.MapFile{Data: out}
			table, err = LoadFS(fsys)
			require.NoError(t, err)
			require.Equal(t, place.ReplaceAllString(want, ""), place.ReplaceAllString(dump(table), ""))
			return
		}
		require.Nil(t, table, "an error means no result")
		var list ErrorList
		require.ErrorAs(t, err, &list)
		for _, e := range list {
			require.NotEmpty(t, e.Msg)
			require.Positive(t, e.Pos.Line)
			require.Positive(t, e.Pos.Col)
			require.LessOrEqual(t, e.Pos.Line, strings.Count(src, "\n")+200)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load("."); err != nil {
			b.Fatal(err)
		}
	}
}

func TestASwitchWithoutDefaultHasAnEmptyOne(t *testing.T) {
	fsys := base(t)
	fsys["syscalls.yaml"] = &fstest.MapFile{Data: []byte("schema: 1\nsyscalls:\n- syscall: s1(int a)\n  class: file\n  nr: 1\n  event: 0x8001\n" +
		"  never_fails: it does not\n  exit:\n    - res: {type: errno, from: ret}\n    - a: {type: int32, from: a}\n" +
		"    - b: {type: uint64}\n  variants: {on: a, 7: {b: a}}\n" +
		"  cases:\n    - call: s1(7)\n      want: {res: 0, a: 7, b: 7}\n")}
	table, err := LoadFS(fsys)
	require.NoError(t, err)
	arms := table.Syscalls[0].Exit.Params[2].Switch.Arms
	require.Len(t, arms, 2)
	require.Empty(t, arms[1].Values)
	require.Equal(t, "empty", arms[1].From.Text)
}

// An event without params is the same after a success and after a failure.
func TestAnEventWithoutParamsNeedsACaseOfNoKind(t *testing.T) {
	const entry = "schema: 1\nsyscalls:\n- syscall: s1()\n  class: file\n  nr: 1\n  event: 0x8001\n  exit: []\n"
	fsys := base(t)
	fsys["syscalls.yaml"] = &fstest.MapFile{Data: []byte(entry + "  cases:\n    - call: s1()\n      want: {}\n")}
	require.Empty(t, errorsOf(t, fsys))
	fsys["syscalls.yaml"] = &fstest.MapFile{Data: []byte(entry)}
	require.ErrorContains(t, errorsOf(t, fsys), "cases are missing", "but one")
}

// Input of any size is read or refused quickly: the cost is not quadratic in the length
// of a line.
func TestHugeInputsCostNoMinutes(t *testing.T) {
	testutil.SkipUnderRace(t)
	const entry = "schema: 1\nsyscalls:\n- syscall: s1()\n  class: file\n  nr: 1\n  event: 0x8001\n  never_fails: it does not\n" +
		"  cases:\n    - call: s1()\n      want: {res: VALUE}\n"
	for name, value := range map[string][3]string{
		"many operands":     {"", "1|", "1"},
		"many accessors":    {`"$pid`, "[0]", `"`},
		"many escapes":      {`"`, `\x31`, `"`},
		"a signature":       {"0}\n- syscall: \"s2(", `\x61 `, "int\"\n  cases: {}\n#"},
		"a helper's source": {"0}\n  exit: [{res: {type: errno, from: \"", "~", "ret\"}}]\n#"},
	} {
		t.Run(name, func(t *testing.T) {
			const huge = 200000
			load := func(n int) ErrorList {
				fsys := base(t)
				text := value[0] + strings.Repeat(value[1], n) + value[2]
				fsys["syscalls.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(entry, "VALUE", text, 1))}
				return errorsOf(t, fsys)
			}
			list := load(huge)
			require.NotEmpty(t, list)
			for _, e := range list {
				require.NotContains(t, e.Error(), "bad YAML")
				require.Less(t, len(e.Error()), 1000)
			}
			testutil.CostGrowsSlowly(t, huge/16, func(n int) { load(n) })
		})
	}
}
