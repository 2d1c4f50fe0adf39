// SPDX-License-Identifier: Apache-2.0

package expr

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var at = Pos{File: "t.yaml", Line: 3, Col: 10}

func mustParse(tb testing.TB, src string) *Node {
	tb.Helper()
	n, err := Parse(src, at)
	require.NoError(tb, err, src)
	return n
}

func TestParseAndPrint(t *testing.T) {
	for _, row := range []struct{ name, src, want string }{
		{"a name", "ret", "ret"},
		{"a number keeps its spelling", "0640", "0640"},
		{"hex", "0xffffffffffffffff", "0xffffffffffffffff"},
		{"a negative errno", "-ENOENT", "-ENOENT"},
		{"flags", "O_RDWR|O_CREAT", "O_RDWR | O_CREAT"},
		{"a call", "open_flags(flags,ret)", "open_flags(flags, ret)"},
		{"a call without arguments", "getppid( )", "getppid()"},
		{"a call inside a call", "f(g(x), 1)", "f(g(x), 1)"},
		{"a variable", "$ret", "$ret"},
		{"a field", "$st.dev", "$st.dev"},
		{"a slice", "$buf[:80]", "$buf[:80]"},
		{"a slice of a field", "$f.data[4:$n]", "$f.data[4:$n]"},
		{"a slice to the end", "$buf[1 + 2:]", "$buf[1 + 2:]"},
		{"an element", "$fds[0]", "$fds[0]"},
		{"an element's field", "$fds[1].ino", "$fds[1].ino"},
		{"a string", `"a b"`, `"a b"`},
		{"escapes", `"\x01\n\"\\\0"`, `"\x01\n\"\\\x00"`},
		{"a path", "/no/such", `"/no/such"`},
		{"a relative path", "../x", `"../x"`},
		{"a path with a variable", "$dir/new", `"$dir/new"`},
		{"a path with a field", "$d.path/a.b", `"$d.path/a.b"`},
		{"a path with braces", "${d}/x", `"${d}/x"`},
		{"an IPv6 address", "udp([::1]:0)", `udp("[::1]:0")`},
		{"an IPv4 address", "tcp(127.0.0.1:80)", `tcp("127.0.0.1:80")`},
		{"an IPv4 address without port", "ip(10.0.0.1)", `ip("10.0.0.1")`},
		{"a tuple", "$a -> $b.peer", "$a -> $b.peer"},
		{"a comparison", ">= 1", ">= 1"},
		{"a struct", "{tv_sec:1, tv_nsec : 0}", "{tv_sec: 1, tv_nsec: 0}"},
		{"a list", "[1, {a: $x}, []]", "[1, {a: $x}, []]"},
		{"bounds in a list", "[>= 1, {a: < 2}]", "[>= 1, {a: < 2}]"},
		{"precedence", "1 + 2 * 3 << 4 | 5", "1 + 2 * 3 << 4 | 5"},
		{"brackets that count", "(1 + 2) * (3 << 4)", "(1 + 2) * (3 << 4)"},
		{"brackets that do not count", "((1) | (2 + 3))", "1 | 2 + 3"},
		{"subtraction groups to the left", "1 - 2 - (3 - 4)", "1 - 2 - (3 - 4)"},
		{"not", "~(A | B)", "~(A | B)"},
		{"two signs", "- -1", "--1"},
		{"a dollar sign", `"$$1"`, `"$$1"`},
		{"more than ascii", `"é"`, `"\xc3\xa9"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := mustParse(t, row.src)
			require.Equal(t, row.want, n.String())
			again := mustParse(t, n.String())
			require.True(t, Equal(n, again), "%s", again)
		})
	}
}

func TestParseErrors(t *testing.T) {
	for _, row := range []struct{ name, src, want string }{
		{"nothing", "", "t.yaml:3:10: expression is missing"},
		{"only blanks", "  ", "t.yaml:3:12: expression is missing"},
		{"an open call", "f(a", "t.yaml:3:13: unexpected the end (, or ) is expected)"},
		{"a second value", "f(a) b", "t.yaml:3:15: unexpected b (the end is expected)"},
		{"a trailing comma", "f(a,)", "t.yaml:3:14: unexpected ) (a value is expected)"},
		{"a trailing operator", "a |", "t.yaml:3:13: unexpected the end (a value is expected)"},
		{"a bad number", "f(0x)", "t.yaml:3:12: bad number 0x (a decimal, 0x, 0b or octal number of at most 64 bits is expected)"},
		{"a bad octal", "089", "t.yaml:3:10: bad number 089 (a decimal, 0x, 0b or octal number of at most 64 bits is expected)"},
		{"a number of 65 bits", "0x10000000000000000", "t.yaml:3:10: bad number 0x10000000000000000 (a decimal, 0x, 0b or octal number of at most 64 bits is expected)"},
		{"an open string", `f("x)`, "t.yaml:3:12: string without its closing quote"},
		{"an unknown escape", `"a\q"`, `t.yaml:3:12: unknown escape \q (known: \n \t \r \0 \\ \" \xHH)`},
		{"a short escape", `"\x1"`, `t.yaml:3:11: bad escape (write \xHH with two digits)`},
		{"a lone dollar", "f($)", "t.yaml:3:12: $ without a name (write $name)"},
		{"a lone dollar in a string", `"a $ b"`, "t.yaml:3:10: $ without a name (write $name, or $$ for a dollar sign)"},
		{"open braces", `"${a"`, "t.yaml:3:10: ${ without its closing }"},
		{"a missing field", "$a.", "t.yaml:3:12: field name is missing after the dot"},
		{"an open slice", "$a[1", "t.yaml:3:14: unexpected the end (] is expected)"},
		{"an empty index", "$a[]", "t.yaml:3:13: unexpected ] (a value is expected)"},
		{"a field twice", "{a: 1, a: 2}", "t.yaml:3:17: field a is repeated"},
		{"a field without value", "{a}", "t.yaml:3:12: unexpected } (: is expected)"},
		{"a comparison among arguments", "f(>= 1)", "t.yaml:3:12: unexpected >= (a value is expected)"},
		{"a foreign character", "a ; b", "t.yaml:3:12: unexpected ';'"},
		{"columns count characters", `"é" b`, "t.yaml:3:14: unexpected b (the end is expected)"},
		{"the second line", "f(1,\n  ;)", "t.yaml:4:3: unexpected ';'"},
		{"no UTF-8", "\xff", "t.yaml:3:10: text is not UTF-8"},
		{"too deep", strings.Repeat("(", 100), "t.yaml:3:42: expression is nested too deeply (at most 64 levels)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			n, err := Parse(row.src, at)
			require.Nil(t, n)
			require.EqualError(t, err, row.want)
			var list ErrorList
			require.ErrorAs(t, err, &list)
			var one *Error
			require.ErrorAs(t, err, &one)
		})
	}
}

func TestPositions(t *testing.T) {
	n := mustParse(t, "open_flags(flags, ret) | file_bits($f.fd)")
	got := map[string]int{}
	Walk(n, func(n *Node) bool {
		got[fmt.Sprintf("%s %s", n.Kind, n.Text)] = n.Pos.Col
		return true
	})
	require.Equal(t, map[string]int{
		"or ": 10, "call open_flags": 10, "name flags": 21, "name ret": 28, "call file_bits": 35, "variable f": 45, "field fd": 47,
	}, got)
}

func TestWalkCanSkip(t *testing.T) {
	var seen []string
	Walk(mustParse(t, "f(g(a), b)"), func(n *Node) bool {
		seen = append(seen, n.Text)
		return n.Text != "g"
	})
	require.Equal(t, []string{"f", "g", "b"}, seen)
}

func TestRefs(t *testing.T) {
	refs := Refs(`$a/${b.c}x $$no $d.e.f`)
	require.Equal(t, []Ref{{Off: 0, Name: "a"}, {Off: 3, Name: "b", Fields: []string{"c"}}, {Off: 16, Name: "d", Fields: []string{"e", "f"}}}, refs)
}

func TestEqual(t *testing.T) {
	require.True(t, Equal(mustParse(t, "0x10"), mustParse(t, " 16")), "spelling does not count")
	for _, other := range []string{"f(b)", "g(a)", "f(a, a)", "f(1)", "f", `f("a")`, "{f: a}"} {
		require.False(t, Equal(mustParse(t, "f(a)"), mustParse(t, other)), other)
	}
	require.False(t, Equal(mustParse(t, "{a: 1}"), mustParse(t, "{b: 1}")))
	require.False(t, Equal(mustParse(t, "$b[1:]"), mustParse(t, "$b[:1]")))
	require.False(t, Equal(nil, mustParse(t, "a")))
}

type testFile struct{ path string }

func (f testFile) Plain() any { return 7 }
func (f testFile) Field(name string) (any, error) {
	if name == "path" {
		return f.path, nil
	}
	return nil, errors.New("a file has no " + name)
}

type testPipe [2]int

func (p testPipe) Index(i int) (any, error) {
	if i < 0 || i > 1 {
		return nil, errors.New("a pipe has two ends")
	}
	return p[i], nil
}

var errNoVar = errors.New("not bound")

type testEnv struct{}

func (testEnv) Lookup(name string) (any, error) {
	vars := map[string]any{
		"n": 3, "u": uint64(1) << 63, "buf": []byte("hello"), "dir": "/tmp/x", "f": testFile{"/tmp/f"}, "p": testPipe{4, 5}, "t": true,
	}
	if v, ok := vars[name]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("$%s: %w", name, errNoVar)
}

func (testEnv) Const(name string) (int64, bool) {
	v, ok := map[string]int64{"O_RDWR": 2, "O_CREAT": 0o100, "ENOENT": 2}[name]
	return v, ok
}

func (testEnv) Call(name string, args []any) (any, error) {
	if name == "len" {
		b, err := ToBytes(args[0])
		return len(b), err
	}
	return nil, fmt.Errorf("no function %s", name)
}

func TestEval(t *testing.T) {
	for _, row := range []struct {
		src  string
		want any
	}{
		{"O_RDWR | O_CREAT", int64(0o102)},
		{"-ENOENT", int64(-2)},
		{"~0", int64(-1)},
		{"1 + 2 * 3 - 1 << 2", int64(24)},
		{"0xffffffffffffffff", int64(-1)},
		{"NULL", int64(0)},
		{"$u", int64(-1 << 63)},
		{"$n + 1", int64(4)},
		{"$f + 0", int64(7)},
		{"$f.path", "/tmp/f"},
		{"$p[1]", int64(5)},
		{"$buf[0]", int64('h')},
		{"$buf[1:$n]", []byte("el")},
		{"$buf[:]", []byte("hello")},
		{"$t", int64(1)},
		{"$dir/new", "/tmp/x/new"},
		{`"${f.path}.$n $$"`, "/tmp/f.3 $"},
		{"len($buf)", int64(5)},
		{"empty", Empty{}},
		{"any", Any{}},
		{">= $n", Comparison{Op: ">=", Bound: int64(3)}},
		{"between(1, $n)", Comparison{Op: "between", Bound: int64(1), High: int64(3)}},
		{`bytes(1, "ab", $buf)`, []byte("\x01abhello")},
		{"$n -> 2", Tuple{int64(3), int64(2)}},
		{"[1, $n]", []any{int64(1), int64(3)}},
		{"{a: 1, b: [2]}", &StructValue{[]string{"a", "b"}, []any{int64(1), []any{int64(2)}}}},
	} {
		t.Run(row.src, func(t *testing.T) {
			got, err := Eval(mustParse(t, row.src), testEnv{})
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
}

func TestEvalErrors(t *testing.T) {
	for _, row := range []struct{ name, src, want string }{
		{"an unknown name", "1 | O_FOO", "t.yaml:3:14: unknown name O_FOO"},
		{"an unbound variable", "f($x)", "t.yaml:3:12: $x: not bound"},
		{"an unbound variable in a string", `"a $x"`, "t.yaml:3:10: $x: not bound"},
		{"an unknown function", "[f()]", "t.yaml:3:11: no function f"},
		{"a number is wanted", "1 + $buf", "t.yaml:3:14: 5 bytes is not a number"},
		{"text is wanted", `"$p"`, "t.yaml:3:10: $p: expr.testPipe is not text"},
		{"no such field", "$f.size", "t.yaml:3:12: a file has no size"},
		{"no fields", "$n.a", "t.yaml:3:12: number 3 has no field a"},
		{"no elements", "$n[0]", "t.yaml:3:12: number 3 has no elements"},
		{"outside", "$buf[5]", "t.yaml:3:14: byte 5 of 5"},
		{"a slice outside", "$buf[2:9]", "t.yaml:3:14: bytes 2 to 9 of 5"},
		{"a slice backwards", "$buf[2:1]", "t.yaml:3:14: bytes 2 to 1 of 5"},
		{"a wide shift", "1 << 64", "t.yaml:3:10: shift by 64 (0 to 63)"},
		{"no byte", "bytes(256)", "t.yaml:3:10: 256 is not a byte"},
		{"one bound", "between(1)", "t.yaml:3:10: between has 2 arguments, not 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v, err := Eval(mustParse(t, row.src), testEnv{})
			require.Nil(t, v)
			require.EqualError(t, err, row.want)
			var placed *Error
			require.ErrorAs(t, err, &placed)
		})
	}
	_, err := Eval(mustParse(t, "$x"), testEnv{})
	require.ErrorIs(t, err, errNoVar)
	_, err = Eval(nil, testEnv{})
	require.EqualError(t, err, "expression is missing")
}

func TestComparison(t *testing.T) {
	for _, row := range []struct {
		src      string
		v        int64
		unsigned bool
		want     bool
	}{
		{">= 1", 1, false, true}, {">= 1", 0, false, false}, {">= 1", -1, true, true}, {">= 1", -1, false, false},
		{"< 0", -2, false, true}, {"< 0", -2, true, false}, {"> 3", 3, false, false}, {"<= 3", 3, false, true},
		{"!= 3", 3, false, false}, {"!= 3", 4, false, true}, {"== 3", 3, false, true},
		{"between(1, 3)", 3, false, true}, {"between(1, 3)", 4, false, false}, {"between(-1, 3)", 0, false, true},
	} {
		v, err := Eval(mustParse(t, row.src), testEnv{})
		require.NoError(t, err)
		got, err := v.(Comparison).Holds(row.v, row.unsigned)
		require.NoError(t, err)
		require.Equal(t, row.want, got, "%d %s, unsigned %t", row.v, row.src, row.unsigned)
	}
	_, err := Comparison{Op: ">=", Bound: "x"}.Holds(1, false)
	require.EqualError(t, err, `text "x" is not a number`)
	_, err = Comparison{Op: "?", Bound: 1}.Holds(1, false)
	require.Error(t, err)
}

// Each wanted form that style.md shows must parse.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"ret", "open_flags(flags, ret)", `openat(AT_FDCWD, "$dir/new", O_RDWR|O_CREAT, 0640)`, "$buf[:80]", "$dir/new",
		"udp([::1]:0)", "$s -> $peer", ">= 0", "-EINPROGRESS", "{a: [1, 2], b: {c: ~3}}", "$p[0].x[1:]", `"\x00$$${a.b}"`,
		"1-2-3", "1--2", "--1", "(1|2)|3", "127.0.0.1:80", "a<<b<<c", "$a.b/c", "${a}/x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		n, err := Parse(src, at)
		if err != nil {
			require.Nil(t, n)
			return
		}
		text := n.String()
		again, err := Parse(text, at)
		require.NoError(t, err, "%q from %q", text, src)
		require.True(t, Equal(n, again), "%q from %q", text, src)
		require.Equal(t, text, again.String())
	})
}
