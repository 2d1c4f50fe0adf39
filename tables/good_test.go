// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/testutil"
)

// dump writes a table as text, with every field that is set, resolved.
func dump(t *Table) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	byArch := func(m map[string]int) string {
		var s []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			s = append(s, fmt.Sprintf("%s=%d", k, m[k]))
		}
		return strings.Join(s, " ")
	}
	params := func(indent string, list []*Param) {
		for _, p := range list {
			s := fmt.Sprintf("%s%s %s", indent, p.Name, p.Type)
			for _, f := range []struct{ name, value string }{
				{"from", p.From.String()}, {"base", p.Base}, {"names", p.Names}, {"show", p.Show}, {"len", p.Len.String()},
				{"else", p.Else.String()}, {"dyn", p.Dyn}, {"group", p.Group}, {"differs", p.Differs.Text}, {"differs_of", p.Differs.Of},
			} {
				if f.value != "" {
					s += " " + f.name + "=" + f.value
				}
			}
			if p.Newer {
				s += " newer"
			}
			if p.Snaplen {
				s += " snaplen"
			}
			for _, c := range p.When {
				s += fmt.Sprintf(" when %s %s %v", c.Var, c.Op, c.In)
			}
			line("%s", s)
			if p.Switch != nil {
				for _, a := range p.Switch.Arms {
					line("%s  on %s %v: %s %s", indent, p.Switch.On, a.Values, a.From, a.Dyn)
				}
			}
		}
	}
	event := func(e *Event) {
		line("  %s %d %q %s class=%s source=%s from=%q filler=%q flags=%v fd=%d drop=%q lost=%q differs=%q %s", e.Symbol, e.Code, e.Name, e.Dir, e.Class,
			e.Source, e.From, e.Filler, e.Flags, e.FDParam, e.Drop, e.Lost, e.Differs.Text, e.Pos)
		params("    ", e.Params)
		if s := e.State; s != nil {
			line("    state %s (%s)", s.Text, s.Pos)
		}
	}
	bindings := func(name string, list []Binding) {
		for _, x := range list {
			passed := map[bool]string{true: " as passed"}[x.Passed]
			line("      %s %s = %s (%s)%s", name, x.Name, x.Expr, x.Expr.Pos, passed)
		}
	}
	for _, s := range t.Flags {
		line("set %s kernel=%v kind=%q width=%d default=%d", s.Name, s.Kernel, s.Kind, s.Width, s.Default)
		for _, v := range s.Values {
			line("  %s %#x native=%#x %t %v", v.Name, v.Value, v.Native, v.HasNative, v.NativeBy)
		}
	}
	for _, h := range t.Helpers {
		least, most := h.Arity()
		line("%s %s %d..%d filler=%t zero=%s %q", h.Kind, h, least, most, h.Filler, h.Zero, h.Doc)
	}
	for _, s := range t.Structs {
		line("struct %s header=%q extensible=%q packed=%q size=%v align=%v", s.Name, s.Header, s.Extensible, s.Packed, s.Size, s.Align)
		for _, f := range s.Fields {
			line("  %s at %v: %s of %v signed=%t count=%d", f.Name, f.Offset, f.Type.Kind, f.Type.Size, f.Type.Signed, f.Type.Count)
		}
	}
	for _, r := range t.Reducers {
		line("reducer %s any=%t %q", r, r.Any, r.Doc)
	}
	for _, g := range t.Groups {
		line("group %s", g.Name)
		params("  ", g.Params)
	}
	for _, e := range t.Events {
		event(e)
	}
	for _, s := range t.Syscalls {
		line("syscall %s%v class=%s drop=%s nr=%s since=%v until=%q differs=%q %s", s.Name, s.Params, s.Class, s.Drop,
			byArch(s.NR), s.Since, s.Until, s.Differs.Text, s.Pos)
		if len(s.Hot) > 0 || s.Socketcall != 0 || s.DropFailed || s.Lost != "" || s.Probe != (Probe{}) {
			line("  hot=%v socketcall=%d drop_failed=%t lost=%q probe=%+v", s.Hot, s.Socketcall, s.DropFailed, s.Lost, s.Probe)
		}
		if f := s.Fires; f != nil {
			line("  fires %s: %s on %v %s", f.Tracepoint, f.Event, f.On, f.Pos)
		}
		if k := s.DropUnless; k != nil {
			line("  drop_unless %d %v", k.Arg, k.Values)
		}
		if s.Enter != nil {
			event(s.Enter)
		}
		event(s.Exit)
		for _, c := range s.Cases {
			line("    case %q needs=%v unsafe=%t snaplen=%d since=%q until=%q no_event=%q", c.Name, c.Needs, c.Unsafe, c.Snaplen,
				c.Since, c.Until, c.NoEvent)
			bindings("given", c.Given)
			line("      call %s (%s)", c.Call, c.Call.Pos)
			bindings("after", c.After)
			bindings("want", c.Want)
			bindings("child", c.Child)
		}
	}
	for _, id := range t.IDs {
		line("id %d %s drop=%s nr=%s symbol=%q hot=%v probe=%+v", id.Code, id.Name, id.Drop, byArch(id.NR), id.Symbol, id.Hot, id.Probe)
	}
	for _, c := range t.IA32 {
		line("ia32 %d %s as=%s args=%v layout=%s", c.NR, c.Name, c.As, c.Args, c.Layout)
	}
	for _, c := range t.X32 {
		line("x32 %d %s", c.NR, c.Name)
	}
	return b.String()
}

func mustLoad(tb testing.TB, dir string) *Table {
	tb.Helper()
	table, err := Load(dir)
	require.NoError(tb, err)
	return table
}

func TestGoodTable(t *testing.T) {
	testutil.Golden(t, "good.txt", []byte(dump(mustLoad(t, "testdata/good"))))
}

func TestInferType(t *testing.T) {
	dir := &CParam{"int", "dirfd"}
	for _, row := range []struct {
		ctype, name string
		prev        *CParam
		want        string
	}{
		{"int", "fd", nil, "fd"}, {"unsigned int", "epfd", nil, "fd"}, {"int", "fd_in", nil, "fd"}, {"long", "fd", nil, "int64"},
		{"int", "sig", nil, "int32"}, {"unsigned", "flags", nil, "uint32"}, {"long", "n", nil, "int64"}, {"size_t", "n", nil, "uint64"},
		{"unsigned long", "addr", nil, "uint64"}, {"loff_t", "off", nil, "int64"}, {"u64", "x", nil, "uint64"}, {"short", "x", nil, "int16"},
		{"const int", "x", nil, "int32"}, {"enum landlock_rule_type", "x", nil, "uint32"}, {"key_serial_t", "id", nil, "int32"},
		{"pid_t", "pid", nil, "pid"}, {"uid_t", "ruid", nil, "uid"}, {"gid_t", "egid", nil, "gid"}, {"umode_t", "mode", nil, "uint32 show oct"},
		{"const char *", "path", nil, "fspath"}, {"const char *", "filename", nil, "fspath"}, {"const char *", "value", nil, "charbuf"},
		{"const char *", "path", dir, "fsrelpath base dirfd"}, {"const char *", "value", dir, "charbuf"},
		{"const char *", "path", &CParam{"const char *", "xdirfd"}, "fspath"},
		{"char *", "buf", nil, "uint64 show hex"}, {"void *", "p", nil, "uint64 show hex"}, {"const char *const *", "argv", nil, "uint64 show hex"},
		{"cap_user_header_t", "h", nil, "uint64 show hex"}, {"union semun", "arg", nil, ""},
	} {
		p := &Param{}
		ok := inferType(CParam{row.ctype, row.name}, row.prev, p)
		got := p.Type
		if p.Base != "" {
			got += " base " + p.Base
		}
		if p.Show != "" {
			got += " show " + p.Show
		}
		require.Equal(t, row.want, got, "%s %s", row.ctype, row.name)
		require.Equal(t, row.want != "", ok)
	}
}

func TestSignature(t *testing.T) {
	for _, row := range []struct {
		src  string
		want []CParam
	}{
		{"getppid()", nil},
		{"getppid(void)", nil},
		{"a(int b)", []CParam{{"int", "b"}}},
		{"a(const char __user *const __user *argv,unsigned long n)", []CParam{{"const char *const *", "argv"}, {"unsigned long", "n"}}},
		{"pipe(int fildes[2])", []CParam{{"int *", "fildes"}}},
		{"a(struct x **p, int q[])", []CParam{{"struct x **", "p"}, {"int *", "q"}}},
	} {
		sig, err := parseSignature(row.src)
		require.Nil(t, err, row.src)
		require.Equal(t, row.want, sig.Params, row.src)
		for i, p := range sig.Params {
			require.True(t, strings.HasPrefix(row.src[sig.At[i]:], p.Name), row.src)
		}
	}
}

// Characters of a value are found in the file whatever YAML style it has.
func TestPositionsInValues(t *testing.T) {
	for _, row := range []struct{ name, src, want string }{
		{"plain", "a: f(;)", "1:6"},
		{"double quotes", `a: "f(;)"`, "1:7"},
		{"single quotes", `a: 'f("''", ;)'`, "1:13"},
		{"escapes", `a: "\x66(\u0031, \"\", ;)"`, "1:24"},
		{"a folded plain value", "a: f(1,\n   2,\n   ;)", "3:4"},
		{"a folded quoted value", "a: \"f(1,\n   2, ;)\"", "2:7"},
		{"an escaped line break", "a: \"f(1, \\\n   2, ;)\"", "2:7"},
		{"a literal block", "a: |\n\n  f(1,\n   ;)", "4:4"},
		{"a folded block", "a: >\n  f(1,\n  ;)", "3:3"},
		{"characters of several bytes", `a: f("é", ;)`, "1:11"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var errs ErrorList
			f := parseFile("t.yaml", []byte(row.src), &errs)
			require.Empty(t, errs)
			require.Nil(t, f.parse(f.root.Content[1], "a", &errs))
			require.Len(t, errs, 1)
			require.Equal(t, fmt.Sprintf("t.yaml:%s: a: unexpected ';'", row.want), errs[0].Error())
		})
	}
	var errs ErrorList
	f := parseFile("t.yaml", []byte(`a: "\x66(b, $c[1:])"`), &errs)
	cols := map[string]int{}
	expr.Walk(f.parse(f.root.Content[1], "a", &errs), func(n *expr.Node) bool {
		cols[n.Text] = n.Pos.Col
		return true
	})
	require.Empty(t, errs)
	require.Equal(t, map[string]int{"f": 5, "b": 10, "c": 13, "": 15, "1": 16}, cols)
}
