// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/tables"
)

const eventPath = "github.com/scaplab/scaplab/scap/event"

// goFile starts a generated Go file.
func goFile(path, name string) *jen.File {
	f := jen.NewFilePathName(path, name)
	f.HeaderComment("// " + marker)
	f.HeaderComment("// SPDX-License-Identifier: Apache-2.0")
	return f
}

func render(f *jen.File) ([]byte, error) {
	var b bytes.Buffer
	err := f.Render(&b)
	return b.Bytes(), err
}

// pin makes the package compile only with hand-written code of the same schema.
func pin(f *jen.File) {
	f.Comment("The hand-written part of this package must be of the same schema.")
	f.Var().Id("_").Op("=").Index(jen.Lit(1)).Struct().Values().Index(jen.Id("schema").Op("-").Lit(Schema))
	f.Line()
}

// word returns the Go constant of a word of types.yaml, "" if it has none.
func word(kind, name string, lists ...[]tables.Word) string {
	for _, list := range lists {
		if slices.ContainsFunc(list, func(w tables.Word) bool { return w.Name == name }) {
			return kind + goName(strings.TrimLeft(name, "0123456789_"))
		}
	}
	return ""
}

func (m *model) category(class string) string {
	return word("Category", class, m.table.Types.Classes, m.table.Types.OtherClasses)
}

func (m *model) eventFlag(name string) string { return word("", name, m.table.Types.EventFlags) }
func (m *model) format(show string) string    { return word("Format", show, m.table.Types.Shows) }

func paramType(typ string) string { return "Param" + goName(typ) }

// eventTable makes scap/event/table_gen.go: flag sets and every known type.
func (m *model) eventTable(files map[string][]byte) error {
	f := goFile(eventPath, "event")
	pin(f)
	used := make(map[string]bool)
	for _, e := range m.events {
		for _, p := range e.Params {
			if p.Names != "" {
				used[p.Names] = true
			}
		}
	}
	for name := range used {
		if m.sets[name] == nil {
			return fmt.Errorf("unknown flag set %s", name)
		}
	}
	for _, s := range m.table.Flags {
		if !used[s.Name] {
			continue
		}
		f.Var().Id("names"+goName(s.Name)).Op("=").Id("NameSet").Values(
			jen.Lit(s.Name),
			jen.Index().Id("NamedValue").ValuesFunc(func(g *jen.Group) {
				for _, v := range s.Values {
					g.Line().Values(jen.Lit(v.Name), jen.Op(number(s, v.Value)))
				}
				g.Line()
			}),
		)
		f.Line()
	}
	var dyns []string
	for _, e := range m.events {
		for _, p := range e.Params {
			if p.Dyn != "" && !slices.Contains(dyns, p.Dyn) {
				dyns = append(dyns, p.Dyn)
			}
		}
	}
	slices.Sort(dyns)
	for _, name := range dyns {
		dyn := m.table.Types.Dyn(name)
		if dyn == nil {
			return fmt.Errorf("unknown dyn table %s", name)
		}
		f.Var().Id("dyn" + goName(name)).Op("=").Index().Id("DynVariant").ValuesFunc(func(g *jen.Group) {
			for _, v := range dyn.Variants {
				g.Line().Values(jen.Id(paramType(v.Type.Name)), jen.Id(m.format(v.Show)))
			}
			g.Line()
		})
		f.Line()
	}
	f.Var().Id("syscallNames").Op("=").Index(jen.Op("...")).String().ValuesFunc(func(g *jen.Group) {
		for _, id := range m.table.IDs {
			g.Line().Op(fmt.Sprintf("%d: %q", id.Code, id.Name))
		}
		g.Line()
	})
	f.Line()
	var err error
	f.Comment("infos lists all types in the order of their codes.")
	f.Var().Id("infos").Op("=").Index().Id("Info").ValuesFunc(func(g *jen.Group) {
		for _, e := range m.events {
			g.Line().Add(m.infoLiteral(e, &err))
		}
		g.Line()
	})
	if err != nil {
		return err
	}
	files["scap/event/table_gen.go"], err = render(f)
	return err
}

func (m *model) infoLiteral(e *event, failed *error) jen.Code {
	fail := func(format string, args ...any) {
		if *failed == nil {
			*failed = fmt.Errorf("%v: %s: %w", e.Pos, e.Symbol, fmt.Errorf(format, args...))
		}
	}
	return jen.ValuesFunc(func(g *jen.Group) {
		field := func(name string) *jen.Statement { return g.Id(name).Op(":") }
		field("Code").Id("Type" + goName(e.Symbol))
		field("Name").Lit(e.Name)
		field("Symbol").Lit(e.Symbol)
		if e.Dir == "enter" {
			field("Enter").True()
		}
		if c := m.category(e.Class); c == "" {
			fail("unknown class %s", e.Class)
		} else {
			field("Category").Id(c)
		}
		if s := word("Source", cmp.Or(e.Source, "unknown"), m.table.Types.Sources); s == "" {
			fail("unknown source %s", e.Source)
		} else {
			field("Source").Id(s)
		}
		var flags []jen.Code
		for _, w := range m.table.Types.EventFlags {
			if e.has(w.Name) {
				flags = append(flags, jen.Id(m.eventFlag(w.Name)))
			}
		}
		for _, name := range e.Flags {
			if m.eventFlag(name) == "" {
				fail("unknown event flag %s", name)
			}
		}
		if len(flags) > 0 {
			or := field("Flags").Add(flags[0])
			for _, fl := range flags[1:] {
				or.Op("|").Add(fl)
			}
		}
		if old := oldParams(e); old < len(e.Params) {
			field("OldParams").Lit(old)
		}
		field("FDParam").Lit(e.FDParam)
		if len(e.Params) == 0 {
			return
		}
		field("Params").Index().Id("ParamInfo").ValuesFunc(func(g *jen.Group) {
			for _, p := range e.Params {
				g.Line().ValuesFunc(func(g *jen.Group) {
					field := func(name string) *jen.Statement { return g.Id(name).Op(":") }
					field("Name").Lit(p.Name)
					typ := m.table.Types.Type(p.Type)
					if typ == nil {
						fail("%s: unknown type %s", p.Name, p.Type)
						return
					}
					field("Type").Id(paramType(p.Type))
					if show := cmp.Or(p.Show, typ.Show); m.format(show) == "" {
						fail("%s: unknown format %s", p.Name, show)
					} else if show != "na" {
						field("Format").Id(m.format(show))
					}
					if p.Names != "" {
						field("Names").Op("&").Id("names" + goName(p.Names))
					}
					dir := -1
					if p.Base != "" {
						if dir, _ = e.param(p.Base); dir < 0 {
							fail("%s: unknown base %s", p.Name, p.Base)
						}
					}
					field("DirFD").Lit(dir)
					if p.Dyn != "" {
						field("Dyn").Id("dyn" + goName(p.Dyn))
					}
				})
			}
			g.Line()
		})
	})
}

// number spells a flag value so that its bits are visible.
func number(s *tables.FlagSet, v uint64) string {
	if v < 10 || s.Kind == "enum" || s.Kind == "identity" {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%#x", v)
}

// eventDecoders makes scap/event/decode_gen.go: a constant for every type, and a
// struct with a decoder for types that a driver makes or that change state.
func (m *model) eventDecoders(files map[string][]byte) error {
	f := goFile(eventPath, "event")
	pin(f)
	f.Comment("Every event type.")
	f.Const().DefsFunc(func(g *jen.Group) {
		for _, e := range m.events {
			g.Id("Type" + goName(e.Symbol)).Id("Type").Op("=").Op(tables.CodeText(e.Code))
		}
	})
	for _, e := range m.typed() {
		name := goName(e.Symbol)
		f.Line()
		f.Comment(fmt.Sprintf("%s is the %s event %d of %s.", name, e.Dir, e.Code, e.origin()))
		if views := m.viewFields(e); views != "" {
			f.Comment(views)
		}
		f.Type().Id(name).StructFunc(func(g *jen.Group) {
			for _, p := range e.Params {
				g.Id(fieldName(p.Name)).Id(m.goType(p)).Comment(fieldComment(p))
			}
			g.Id("Set").Id("ParamSet")
		})
		f.Line()
		f.Comment("Decode reads ev, as [Typed] says.")
		f.Func().Params(jen.Id("d").Op("*").Id(name)).Id("Decode").Params(jen.Id("ev").Op("*").Id("Event")).Error().BlockFunc(func(g *jen.Group) {
			g.Var().Id("r").Id("decoder")
			g.If(jen.Err().Op(":=").Id("r").Dot("begin").Call(jen.Id("ev"), jen.Id("Type"+name)), jen.Err().Op("!=").Nil()).Block(
				jen.Op("*").Id("d").Op("=").Id(name).Values(),
				jen.Return(jen.Err()),
			)
			for _, p := range e.Params {
				g.Id("d").Dot(fieldName(p.Name)).Op("=").Add(m.readCall(p))
			}
			if len(e.Params) > 0 {
				g.If(jen.Id("r").Dot("err").Op("!=").Nil()).Block(
					jen.Op("*").Id("d").Op("=").Id(name).Values(),
					jen.Return(jen.Id("r").Dot("err")),
				)
			}
			g.Id("d").Dot("Set").Op("=").Id("r").Dot("set")
			g.Return(jen.Nil())
		})
	}
	f.Line()
	f.Comment("newTyped returns a new struct of a type; nil if the type has none.")
	f.Func().Id("newTyped").Params(jen.Id("t").Id("Type")).Id("Typed").Block(
		jen.Switch(jen.Id("t")).BlockFunc(func(g *jen.Group) {
			for _, e := range m.typed() {
				name := goName(e.Symbol)
				g.Case(jen.Id("Type" + name)).Block(jen.Return(jen.New(jen.Id(name))))
			}
		}),
		jen.Return(jen.Nil()),
	)
	var err error
	files["scap/event/decode_gen.go"], err = render(f)
	return err
}

// viewFields returns a comment that lists the fields that are views of the event.
func (m *model) viewFields(e *event) string {
	var names []string
	for _, p := range e.Params {
		if m.table.Types.Type(p.Type).Size == 0 {
			names = append(names, fieldName(p.Name))
		}
	}
	switch last := len(names) - 1; {
	case last < 0:
		return ""
	case last == 0:
		return names[0] + " is a view of the event."
	default:
		return strings.Join(names[:last], ", ") + " and " + names[last] + " are views of the event."
	}
}

// origin returns what makes an event, in words.
func (e *event) origin() string {
	var names []string
	for _, s := range e.calls {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		if e.From == "" {
			return e.Name + ", which no driver makes"
		}
		if e.From == "sys_exit" || e.From == "sys_enter" {
			return "system calls without one of their own"
		}
		return "tracepoint " + e.From
	}
	return strings.Join(names, ", ")
}

// goType returns the type of a param's field.
func (m *model) goType(p *tables.Param) string {
	w, _ := m.wire(p.Type)
	return cmp.Or(m.view(p), w.goT)
}

// view returns the Go type for the meaning of a param (event.FD, event.PID): by wire
// type, or by name if the wire type is a plain number.
func (m *model) view(p *tables.Param) string {
	switch p.Type + " " + p.Name {
	case "uint32 uid":
		return "UID"
	case "uint32 gid":
		return "GID"
	}
	return m.table.Types.Type(p.Type).View
}

// readCall returns the call of the decoder that reads a param.
func (m *model) readCall(p *tables.Param) jen.Code {
	w, _ := m.wire(p.Type)
	read := jen.Id("r").Dot("bytes").Call()
	switch {
	case m.isString(p.Type):
		read = jen.Id("r").Dot("str").Call()
	case w.c != "":
		read = jen.Id("r").Dot(w.goT).Call()
	}
	if view := m.view(p); view != "" {
		return jen.Id(view).Call(read)
	}
	return read
}

// fieldComment returns what the Go type does not say: the wire type and the names of values.
func fieldComment(p *tables.Param) string {
	text := p.Type
	switch {
	case p.Names != "":
		text = p.Names
	case p.Base != "":
		text += ", below " + p.Base
	case p.Show == "oct" || p.Show == "hex":
		text += ", " + p.Show
	}
	return text
}

// oldParams returns how many params of an event the older reference has.
func oldParams(e *event) int {
	i := slices.IndexFunc(e.Params, func(p *tables.Param) bool { return p.Newer })
	if i < 0 {
		return len(e.Params)
	}
	return i
}
