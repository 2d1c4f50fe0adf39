// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

const (
	guestPath = "github.com/scaplab/scaplab/vmtest/guest"
	unixPath  = "golang.org/x/sys/unix"
)

// alsoMakes are the calls whose success another tracepoint reports, and the
// codes of the events it then makes.
var alsoMakes = map[string]struct {
	fire  string
	extra string // symbol of the event
}{
	"execve":   {"sched_process_exec", ""},
	"execveat": {"sched_process_exec", "execve_exit"},
	"clone":    {"sched_process_fork", ""},
	"clone3":   {"sched_process_fork", ""},
	"fork":     {"sched_process_fork", ""},
	"vfork":    {"sched_process_fork", ""},
}

// guestCases is vmtest/guest/cases_gen.go: every entry with its cases, the
// table's own and those made from the signature.
func (m *model) guestCases(files map[string][]byte) error {
	codes := make(map[string]uint16)
	for _, e := range m.events {
		codes[e.Symbol] = e.Code
	}
	f := goFile(guestPath, "guest")
	f.Comment("Syscalls is the table's entries with their cases.")
	f.Var().Id("Syscalls").Op("=").Index().Id("Syscall").ValuesFunc(func(g *jen.Group) {
		for _, s := range m.table.Syscalls {
			g.Line().Add(m.guestSyscall(s, codes))
		}
		g.Line()
	})
	var err error
	files["vmtest/guest/cases_gen.go"], err = render(f)
	return err
}

func (m *model) guestSyscall(s *tables.Syscall, codes map[string]uint16) jen.Code {
	return jen.ValuesFunc(func(g *jen.Group) {
		field := func(name string) *jen.Statement { return g.Line().Id(name).Op(":") }
		field("Name").Lit(s.Name)
		field("NR").Map(jen.String()).Int().Op("{" + byArchText(s.NR, func(n int) string { return fmt.Sprint(n) }) + "}")
		if len(s.Params) > 0 {
			var list []string
			for _, p := range s.Params {
				list = append(list, fmt.Sprintf("{%q, %q}", p.Type, p.Name))
			}
			field("Params").Index().Id("Param").Op("{" + strings.Join(list, ", ") + "}")
		}
		if s.Exit != nil {
			field("Exit").Op(codeText(s.Exit.Code))
		}
		if s.Enter != nil {
			field("Enter").Op(codeText(s.Enter.Code))
		}
		if slices.ContainsFunc(s.Cases, func(c *tables.Case) bool { return len(c.Child) > 0 }) && s.Exit != nil {
			field("Child").Op(codeText(s.Exit.Code))
		}
		if also, ok := alsoMakes[s.Name]; ok {
			if c := codes[also.extra]; c != 0 {
				field("Extra").Index().Uint16().Op("{" + codeText(c) + "}")
			}
			field("Fire").Index().String().Op(fmt.Sprintf("{%q}", also.fire))
		}
		if since := byArchText(s.Since, func(v string) string { return fmt.Sprintf("%q", v) }); since != "" {
			field("Since").Map(jen.String()).String().Op("{" + since + "}")
		}
		if s.Until != "" {
			field("Until").Lit(s.Until)
		}
		if s.NeverFails != "" {
			field("NeverFails").Lit(s.NeverFails)
		}
		if s.NeverSucceeds != "" {
			field("NeverSucceeds").Lit(s.NeverSucceeds)
		}
		if s.Exit != nil {
			since, except := jen.Dict{}, jen.Dict{}
			for _, p := range s.Exit.Params {
				if p.Since != "" {
					since[jen.Lit(p.Name)] = jen.Lit(p.Since)
				}
				if len(p.Except) > 0 {
					except[jen.Lit(p.Name)] = jen.Values(stringDict(p.Except))
				}
			}
			if len(since) > 0 {
				field("ParamSince").Map(jen.String()).String().Values(since)
			}
			if len(except) > 0 {
				field("ParamExcept").Map(jen.String()).Map(jen.String()).String().Values(except)
			}
		}
		made := m.probeCases(s)
		if len(s.Cases)+len(made) > 0 {
			field("Cases").Index().Id("Case").ValuesFunc(func(g *jen.Group) {
				for _, c := range s.Cases {
					g.Line().Add(guestCase(c, false))
				}
				for _, c := range made {
					g.Line().Add(guestCase(c, true))
				}
				g.Line()
			})
		}
		g.Line()
	})
}

func guestCase(c *tables.Case, generated bool) jen.Code {
	return jen.ValuesFunc(func(g *jen.Group) {
		field := func(name string) *jen.Statement { return g.Line().Id(name).Op(":") }
		name := c.Name
		if name == "" {
			name = "works"
		}
		field("Name").Lit(name)
		if len(c.Needs) > 0 {
			var needs []jen.Code
			for _, n := range c.Needs {
				needs = append(needs, jen.Lit(n))
			}
			field("Needs").Index().String().Values(needs...)
		}
		if c.Unsafe {
			field("Unsafe").True()
		}
		if c.Snaplen != 0 {
			field("Snaplen").Lit(c.Snaplen)
		}
		if c.Since != "" {
			field("Since").Lit(c.Since)
		}
		if c.Until != "" {
			field("Until").Lit(c.Until)
		}
		bindings := func(name string, list []tables.Binding) {
			if len(list) == 0 {
				return
			}
			var text []string
			for _, b := range list {
				text = append(text, fmt.Sprintf("{%q, %s}", b.Name, quote(b.Expr.String())))
			}
			field(name).Index().Id("Binding").Op("{" + strings.Join(text, ", ") + "}")
		}
		bindings("Given", c.Given)
		if c.Call != nil {
			field("Call").Op(quote(c.Call.String()))
		}
		bindings("After", c.After)
		bindings("Want", c.Want)
		bindings("Child", c.Child)
		if c.NoEvent != "" {
			field("NoEvent").Lit(c.NoEvent)
		}
		if len(c.Except) > 0 {
			field("Except").Map(jen.String()).String().Values(stringDict(c.Except))
		}
		if generated {
			field("Generated").True()
		}
		g.Line()
	})
}

// quote prefers a raw string, as the language has strings of its own.
func quote(text string) string {
	if strings.Contains(text, `"`) && !strings.ContainsAny(text, "`\n") {
		return "`" + text + "`"
	}
	return fmt.Sprintf("%q", text)
}

func stringDict(m map[string]string) jen.Dict {
	d := jen.Dict{}
	for k, v := range m {
		d[jen.Lit(k)] = jen.Lit(v)
	}
	return d
}

// byArchText lists the entries of a map by architecture, without zero strings.
func byArchText[V comparable](m map[string]V, text func(V) string) string {
	var list []string
	for _, a := range nativeArches {
		if v, ok := m[a]; ok && text(v) != `""` {
			list = append(list, fmt.Sprintf("%q: %s", a, text(v)))
		}
	}
	return strings.Join(list, ", ")
}

// notInUnix are the constants x/sys/unix lacks; their numbers are those of
// flags.yaml. A test keeps the list exact.
var notInUnix = map[string]bool{
	"FUTEX_CLOCK_REALTIME": true, "FUTEX_CMP_REQUEUE_PI": true, "FUTEX_PRIVATE_FLAG": true, "FUTEX_WAIT": true,
	"FUTEX_WAIT_BITSET": true, "FUTEX_WAKE": true,
	"GETALL": true, "GETPID": true, "GETVAL": true, "SEM_UNDO": true, "SETVAL": true,
	"IORING_ENTER_EXT_ARG": true, "IORING_ENTER_GETEVENTS": true, "IORING_REGISTER_BUFFERS": true,
	"IORING_REGISTER_FILES": true, "IORING_SETUP_ATTACH_RW": true, "IORING_SETUP_CLAMP": true,
	"IORING_SETUP_CQSIZE": true, "IORING_SETUP_IOPOLL": true, "IORING_SETUP_R_DISABLED": true,
	"IORING_SETUP_SQPOLL": true, "IORING_SETUP_SQ_AFF": true, "IORING_UNREGISTER_FILES": true,
}

// guestConsts is vmtest/guest/consts_gen.go: what the names of constants in
// cases stand for. The compiler checks those that x/sys/unix has.
func (m *model) guestConsts(files map[string][]byte) error {
	names := make(map[string]bool)
	for _, s := range m.table.Syscalls {
		for _, c := range append(slices.Clone(s.Cases), m.probeCases(s)...) {
			m.caseConsts(s, c, names)
		}
	}
	sorted := slices.Sorted(maps.Keys(names))
	f := goFile(guestPath, "guest")
	f.HeaderComment("//go:build linux")
	f.ImportName(unixPath, "unix")
	f.Comment("Consts is the native constants that cases use.")
	f.Var().Id("Consts").Op("=").Map(jen.String()).Uint64().ValuesFunc(func(g *jen.Group) {
		for _, name := range sorted {
			v := g.Line().Lit(name).Op(":")
			switch {
			case notInUnix[name]:
				v.Add(m.nativeByArch(name))
			case tooLarge[name]:
				v.Id("constOf").Call(jen.Uint64().Call(jen.Qual(unixPath, name)))
			default:
				v.Id("constOf").Call(jen.Qual(unixPath, name))
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
	f.Comment("Consts is empty: no call can be made on this system.")
	f.Var().Id("Consts").Map(jen.String()).Uint64()
	files["vmtest/guest/consts_other_gen.go"], err = render(f)
	return err
}

// tooLarge are the untyped constants that are no int.
var tooLarge = map[string]bool{"RLIM_INFINITY": true}

// nativeByArch is a number, or a choice by architecture where it differs.
func (m *model) nativeByArch(name string) jen.Code {
	n := m.natives[name]
	if len(n.by) == 0 {
		return jen.Op(fmt.Sprintf("%#x", n.value))
	}
	var by []string
	for _, a := range Arches {
		if v, ok := n.on(a); ok {
			by = append(by, fmt.Sprintf("%q: %#x", a, v))
		}
	}
	return jen.Map(jen.String()).Uint64().Op("{" + strings.Join(by, ", ") + "}").Index(jen.Qual("runtime", "GOARCH"))
}

// caseConsts collects the constants one case names. Names that a wanted param's
// flag set has are event values, not native ones.
func (m *model) caseConsts(s *tables.Syscall, c *tables.Case, names map[string]bool) {
	collect := func(n *expr.Node, set *tables.FlagSet) {
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
	for _, list := range [][]tables.Binding{c.Given, c.After} {
		for _, b := range list {
			collect(b.Expr, nil)
		}
	}
	collect(c.Call, nil)
	for _, list := range [][]tables.Binding{c.Want, c.Child} {
		for _, b := range list {
			var set *tables.FlagSet
			if s.Exit != nil {
				if i := slices.IndexFunc(s.Exit.Params, func(p *tables.Param) bool { return p.Name == b.Name }); i >= 0 {
					set = m.sets[s.Exit.Params[i].Names]
				}
			}
			collect(b.Expr, set)
		}
	}
}
