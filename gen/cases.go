// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

const (
	guestPath = "github.com/scaplab/scaplab/vmtest/guest"
	unixPath  = "golang.org/x/sys/unix"
)

// guestCases makes vmtest/guest/cases_gen.txt: every entry with its cases, those of
// the table and those derived from the signature. vmtest/guest/cases.go reads it and
// documents the lines.
func (m *model) guestCases(files map[string][]byte) error {
	t := &caseText{}
	t.line("#", marker)
	for _, s := range m.table.Syscalls {
		m.guestSyscall(t, s)
	}
	files["vmtest/guest/cases_gen.txt"] = t.Bytes()
	return t.err
}

// caseText collects lines of a key and a value.
type caseText struct {
	bytes.Buffer
	indent string
	err    error
}

func (t *caseText) line(words ...string) {
	text := strings.Join(words, " ")
	if strings.ContainsAny(text, "\n\r") {
		t.err = errors.Join(t.err, fmt.Errorf("%q does not fit on one line", text))
	}
	t.WriteString(t.indent + text + "\n")
}

// optional writes a line if there is a value.
func (t *caseText) optional(key, value string) {
	if value != "" {
		t.line(key, value)
	}
}

func (t *caseText) bindings(key string, list []tables.Binding) {
	for _, b := range list {
		t.line(key, b.Name, b.Expr.String())
	}
}

func (m *model) guestSyscall(t *caseText, s *tables.Syscall) {
	t.indent = ""
	t.line()
	t.line("syscall", s.Name)
	t.line("place", m.guestPlace(s.Pos))
	t.line("nr", byArchText(s.NR, func(n int) string { return fmt.Sprint(n) }))
	for _, p := range s.Params {
		t.line("param", p.Name, p.Type)
	}
	code := func(key string, e *tables.Event) {
		if e != nil {
			t.line(key, tables.CodeText(e.Code))
		}
	}
	code("exit", s.Exit)
	code("enter", s.Enter)
	if slices.ContainsFunc(s.Cases, func(c *tables.Case) bool { return len(c.Child) > 0 }) {
		code("child", s.Exit)
	}
	if _, ok := s.NR["amd64"]; !ok && s.Socketcall != 0 {
		t.line("socketcall", fmt.Sprint(s.Socketcall))
	}
	if f := s.Fires; f != nil {
		fired := m.entry(f.Event).Exit
		if f.OfChild() {
			code("fired", fired)
			t.line(append([]string{"fired_on"}, f.On...)...)
		} else if fired != s.Exit {
			code("extra", fired)
		}
	}
	t.optional("since", byArchText(s.Since, func(v string) string { return v }))
	t.optional("until", s.Until)
	for _, version := range slices.Sorted(maps.Keys(s.Grown)) {
		t.line("grown", version, strconv.Itoa(s.Grown[version]))
	}
	m.guestDiffers(t, s)
	t.optional("never_fails", s.NeverFails)
	t.optional("never_succeeds", s.NeverSucceeds)
	for _, c := range s.Cases {
		t.guestCase(c, "case", c.Pos.Line-s.Pos.Line)
	}
	for _, c := range m.probeCases(s) {
		t.guestCase(c, "generated", 0)
	}
}

// guestDiffers writes the differences that excuse a driver of the reference which is judged.
func (m *model) guestDiffers(t *caseText, s *tables.Syscall) {
	t.optional("differs", s.Differs.Text)
	if s.Exit == nil {
		return
	}
	e := m.eventOf(s.Exit)
	for _, p := range s.Exit.Params {
		if p.Differs.Text != "" {
			t.line("param_differs", p.Name, p.Differs.Text)
		}
		if m.losesString(e, p) {
			t.line("string_lost", p.Name)
		}
	}
}

// losesString reports whether a param is a string of the caller's memory: the reference's module loses some.
func (m *model) losesString(e *event, p *tables.Param) bool {
	as := m.table.Types.Type(p.Type).As
	return (as == "text" || p.Type == "charbufarray") && m.exposed(e, p)
}

// guestPlace returns FILE:LINE of an entry, from the project's root.
func (m *model) guestPlace(pos expr.Pos) string {
	return fmt.Sprintf("tables/%s:%d", strings.TrimPrefix(pos.File, m.table.Dir+"/"), pos.Line)
}

// guestCase writes a case with its place as lines below the entry, so that an edit of
// one entry does not change the places of others.
func (t *caseText) guestCase(c *tables.Case, kind string, below int) {
	name := c.Name
	if name == "" {
		name = "works"
	}
	t.indent = ""
	t.line(kind, name)
	t.indent = "\t"
	if below != 0 {
		t.line("below", fmt.Sprint(below))
	}
	t.optional("needs", strings.Join(c.Needs, " "))
	if c.Unsafe {
		t.line("unsafe")
	}
	if c.Snaplen != 0 {
		t.line("snaplen", fmt.Sprint(c.Snaplen))
	}
	if c.LeftOut != 0 {
		t.line("left_out", fmt.Sprint(c.LeftOut))
	}
	t.optional("since", c.Since)
	t.optional("until", c.Until)
	t.bindings("given", c.Given)
	if c.Call != nil {
		t.line("call", c.Call.String())
	}
	t.bindings("after", c.After)
	t.bindings("want", c.Want)
	t.bindings("child", c.Child)
	t.optional("no_event", c.NoEvent)
	t.optional("no_enter", c.NoEnter)
	t.optional("lacking", c.Lacking)
}

// byArchText returns the non-empty values of a map by architecture, as amd64=1 arm64=2.
func byArchText[V comparable](m map[string]V, text func(V) string) string {
	var list []string
	for _, a := range nativeArches {
		if v, ok := m[a]; ok && text(v) != "" {
			list = append(list, a+"="+text(v))
		}
	}
	return strings.Join(list, " ")
}

// guestConsts makes vmtest/guest/consts_gen.go: the values of the constants that
// cases name. The compiler checks those that x/sys/unix has.
func (m *model) guestConsts(files map[string][]byte) error {
	names := make(map[string]bool)
	for _, s := range m.table.Syscalls {
		for _, c := range append(slices.Clone(s.Cases), m.probeCases(s)...) {
			m.caseConsts(s, c, names)
		}
	}
	for _, s := range m.table.Suites {
		for _, c := range s.Scenarios {
			m.scenarioConsts(c, names)
		}
	}
	sorted := slices.Sorted(maps.Keys(names))
	for _, name := range sorted {
		if err := m.knownConst(name); err != nil {
			return err
		}
	}
	f := goFile(guestPath, "guest")
	f.HeaderComment("//go:build linux")
	f.ImportName(unixPath, "unix")
	f.Comment("Consts is the native constants that cases use.")
	f.Var().Id("Consts").Op("=").Map(jen.String()).Uint64().ValuesFunc(func(g *jen.Group) {
		for _, name := range sorted {
			v := g.Line().Lit(name).Op(":")
			large, ok := tables.UnixConst(name)
			errno, isErrno := m.table.Types.Errno(name)
			switch {
			case large:
				v.Id("constOf").Call(jen.Uint64().Call(jen.Qual(unixPath, name)))
			case ok:
				v.Id("constOf").Call(jen.Qual(unixPath, name))
			case isErrno: // of the kernel only, or a second name
				v.Lit(int(errno))
			default:
				v.Add(m.nativeByArch(name))
			}
		}
		g.Line()
	})
	f.Line()
	f.Func().Id("constOf").Types(jen.Id("T").Op("~int | ~uint | ~int32 | ~uint32 | ~int64 | ~uint64 | ~uintptr")).
		Params(jen.Id("v").Id("T")).Uint64().Block(jen.Return(jen.Uint64().Call(jen.Id("v"))))
	var err error
	if files["vmtest/guest/consts_gen.go"], err = render(f); err != nil {
		return err
	}
	f = goFile(guestPath, "guest")
	f.HeaderComment("//go:build !linux")
	f.Comment("Consts is empty: cases run on Linux only.")
	f.Var().Id("Consts").Map(jen.String()).Uint64()
	files["vmtest/guest/consts_other_gen.go"], err = render(f)
	return err
}

// knownConst checks that the generated Go code compiles with a name. Lint refuses
// every other name.
func (m *model) knownConst(name string) error {
	_, unix := tables.UnixConst(name)
	_, errno := m.table.Types.Errno(name)
	if _, native := m.natives[name]; !unix && !errno && !native {
		return fmt.Errorf("unknown constant %s in a case", name)
	}
	return nil
}

// nativeByArch returns a number, or a choice by architecture where it differs.
func (m *model) nativeByArch(name string) jen.Code {
	n := m.natives[name]
	if len(n.by) == 0 {
		return jen.Op(fmt.Sprintf("%#x", n.value))
	}
	var by []string
	for _, a := range tables.Arches {
		if v, ok := n.on(a); ok {
			by = append(by, fmt.Sprintf("%q: %#x", a, v))
		}
	}
	return jen.Map(jen.String()).Uint64().Op("{" + strings.Join(by, ", ") + "}").Index(jen.Qual("runtime", "GOARCH"))
}

// constsOf collects the native constants that an expression names. In a wanted param, names of its flag
// set are event values.
func constsOf(n *expr.Node, set *tables.FlagSet, names map[string]bool) {
	expr.Walk(n, func(n *expr.Node) bool {
		if n.Kind != expr.Name {
			return true
		}
		if _, ok := expr.Keywords[n.Text]; ok {
			return true
		}
		if set != nil && slices.ContainsFunc(set.Values, func(v tables.FlagValue) bool { return v.Name == n.Text }) {
			return true
		}
		names[n.Text] = true
		return true
	})
}

// wantedConsts collects those of wanted params of an event.
func (m *model) wantedConsts(e *tables.Event, list []tables.Binding, names map[string]bool) {
	for _, b := range list {
		var set *tables.FlagSet
		if e != nil {
			if i := slices.IndexFunc(e.Params, func(p *tables.Param) bool { return p.Name == b.Name }); i >= 0 {
				set = m.sets[e.Params[i].Names]
			}
		}
		constsOf(b.Expr, set, names)
	}
}

func (m *model) caseConsts(s *tables.Syscall, c *tables.Case, names map[string]bool) {
	for _, b := range slices.Concat(c.Given, c.After) {
		constsOf(b.Expr, nil, names)
	}
	constsOf(c.Call, nil, names)
	m.wantedConsts(s.Exit, slices.Concat(c.Want, c.Child), names)
}

func (m *model) scenarioConsts(c *tables.Scenario, names map[string]bool) {
	for _, b := range c.Given {
		constsOf(b.Expr, nil, names)
	}
	constsOf(c.Act, nil, names)
	for _, sh := range slices.Concat(c.Shows, c.Never) {
		constsOf(sh.By, nil, names)
		m.wantedConsts(sh.Event, sh.With, names)
	}
}
