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

// goFile opens a generated Go file.
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

// pin refuses to compile beside hand-written code of another schema.
func pin(f *jen.File) {
	f.Comment("The hand-written part of this package must be of the same schema.")
	f.Var().Id("_").Op("=").Index(jen.Lit(1)).Struct().Values().Index(jen.Id("schema").Op("-").Lit(Schema))
	f.Line()
}

var categories = map[string]string{
	"unknown": "CategoryUnknown", "other": "CategoryOther", "file": "CategoryFile", "net": "CategoryNet",
	"ipc": "CategoryIPC", "memory": "CategoryMemory", "process": "CategoryProcess", "sleep": "CategorySleep",
	"system": "CategorySystem", "signal": "CategorySignal", "user": "CategoryUser", "time": "CategoryTime",
	"processing": "CategoryProcessing", "io_read": "CategoryIORead", "io_write": "CategoryIOWrite",
	"io_other": "CategoryIOOther", "wait": "CategoryWait", "scheduler": "CategoryScheduler", "internal": "CategoryInternal",
}

var sources = map[string]string{
	"": "SourceUnknown", "unknown": "SourceUnknown", "syscall": "SourceSyscall", "tracepoint": "SourceTracepoint",
	"plugin": "SourcePlugin", "metaevent": "SourceMetaevent", "iter": "SourceIter",
}

var eventFlags = map[string]string{
	"creates_fd": "CreatesFD", "destroys_fd": "DestroysFD", "uses_fd": "UsesFD", "reads_from_fd": "ReadsFromFD",
	"writes_to_fd": "WritesToFD", "modifies_state": "ModifiesState", "unused": "Unused", "waits": "Waits",
	"skip_parse_reset": "SkipParseReset", "old_version": "OldVersion", "large_payload": "LargePayload",
	"converter_managed": "ConverterManaged",
}

// eventFlagOrder is the order of their bits.
var eventFlagOrder = []string{"creates_fd", "destroys_fd", "uses_fd", "reads_from_fd", "writes_to_fd", "modifies_state",
	"unused", "waits", "skip_parse_reset", "old_version", "large_payload", "converter_managed"}

var formats = map[string]string{
	"na": "FormatNA", "dec": "FormatDec", "hex": "FormatHex", "10_padded_dec": "FormatPaddedDec", "id": "FormatID",
	"dir": "FormatDir", "oct": "FormatOct",
}

func paramType(typ string) string { return "Param" + goName(typ) }

// format is how tools print a param that does not say so.
func format(p *tables.Param) string {
	if p.Show != "" {
		return p.Show
	}
	switch {
	case strings.HasPrefix(p.Type, "flags"):
		return "hex"
	case p.Type == "mode":
		return "oct"
	case wireTypes[p.Type].size == 0:
		return "na"
	}
	return "dec"
}

// eventTable is scap/event/table_gen.go: flag sets and every known type.
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
		if dynTables[name] == nil {
			return fmt.Errorf("unknown dyn table %s", name)
		}
		f.Var().Id("dyn" + goName(name)).Op("=").Index().Id("DynVariant").ValuesFunc(func(g *jen.Group) {
			for _, v := range dynTables[name] {
				g.Line().Values(jen.Id(paramType(v.Type)), jen.Id(formats[v.Show]))
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
	f.Comment("infos stand in the order of their codes.")
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
		if c, ok := categories[e.Class]; !ok {
			fail("unknown class %s", e.Class)
		} else {
			field("Category").Id(c)
		}
		if s, ok := sources[e.Source]; !ok {
			fail("unknown source %s", e.Source)
		} else {
			field("Source").Id(s)
		}
		var flags []jen.Code
		for _, name := range eventFlagOrder {
			if e.has(name) {
				flags = append(flags, jen.Id(eventFlags[name]))
			}
		}
		for _, name := range e.Flags {
			if eventFlags[name] == "" {
				fail("unknown event flag %s", name)
			}
		}
		if len(flags) > 0 {
			or := field("Flags").Add(flags[0])
			for _, fl := range flags[1:] {
				or.Op("|").Add(fl)
			}
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
					if _, ok := wireTypes[p.Type]; !ok {
						fail("%s: unknown type %s", p.Name, p.Type)
					}
					field("Type").Id(paramType(p.Type))
					if show := format(p); formats[show] == "" {
						fail("%s: unknown format %s", p.Name, show)
					} else if show != "na" {
						field("Format").Id(formats[show])
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

// number spells a flag value so that bits can be seen.
func number(s *tables.FlagSet, v uint32) string {
	if v < 10 || s.Kind == "enum" || s.Kind == "identity" {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%#x", v)
}

// views are the Go types of variable params that are more than bytes, kinds
// those of numbers that stand for something: by wire type, or by name where the
// wire type is a plain number.
var (
	views = map[string]string{
		"sockaddr": "SockAddr", "socktuple": "SockTuple", "fdlist": "FDList", "dyn": "Dyn", "charbufarray": "Strings",
		"charbuf_pair_array": "Strings",
	}
	kinds = map[string]string{
		"fd": "FD", "fd32": "FD", "pid": "PID", "pid32": "PID", "uid": "UID", "gid": "GID",
		"uint32 uid": "UID", "uint32 gid": "GID",
	}
)

// eventDecoders is scap/event/decode_gen.go: a constant for every type, and a
// struct with a decoder for those that a driver makes or that change state.
func (m *model) eventDecoders(files map[string][]byte) error {
	f := goFile(eventPath, "event")
	pin(f)
	f.Comment("Every event type.")
	f.Const().DefsFunc(func(g *jen.Group) {
		for _, e := range m.events {
			g.Id("Type" + goName(e.Symbol)).Id("Type").Op("=").Op(codeText(e.Code))
		}
	})
	for _, e := range m.typed() {
		name := goName(e.Symbol)
		f.Line()
		f.Comment(fmt.Sprintf("%s is the %s event %d of %s.", name, e.Dir, e.Code, e.origin()))
		if views := viewFields(e); views != "" {
			f.Comment(views)
		}
		f.Type().Id(name).StructFunc(func(g *jen.Group) {
			for _, p := range e.Params {
				g.Id(fieldName(p.Name)).Id(goType(p)).Comment(fieldComment(p))
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
				g.Id("d").Dot(fieldName(p.Name)).Op("=").Add(readCall(p))
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
	f.Comment("newTyped makes the struct of a type; nil when it has none.")
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

// viewFields says which fields of an event's struct are views of the event.
func viewFields(e *event) string {
	var names []string
	for _, p := range e.Params {
		if wireTypes[p.Type].size == 0 {
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

// origin says what makes an event.
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

// goType is the type of a param's field.
func goType(p *tables.Param) string {
	return cmp.Or(views[p.Type], kind(p), wireTypes[p.Type].goT)
}

func kind(p *tables.Param) string { return cmp.Or(kinds[p.Type], kinds[p.Type+" "+p.Name]) }

// readCall is the runtime call that reads a param.
func readCall(p *tables.Param) jen.Code {
	typ := p.Type
	w := wireTypes[typ]
	switch {
	case isString(typ):
		return jen.Id("r").Dot("str").Call()
	case views[typ] != "":
		return jen.Id(views[typ]).Call(jen.Id("r").Dot("bytes").Call())
	case w.size == 0:
		return jen.Id("r").Dot("bytes").Call()
	}
	read := jen.Id("r").Dot(w.goT).Call()
	if k := kind(p); k != "" {
		return jen.Id(k).Call(read)
	}
	return read
}

// fieldComment tells what Go's type does not: the wire type and the names of values.
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
