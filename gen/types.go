// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/tables"
)

// eventTypes makes scap/event/types_gen.go: the words of types.yaml.
func (m *model) eventTypes(files map[string][]byte) error {
	t := m.table.Types
	f := goFile(eventPath, "event")

	consts := func(kind, text string, lists ...[]tables.Word) {
		typ := kind
		if kind == "" {
			typ = "Flags"
		}
		f.Const().DefsFunc(func(g *jen.Group) {
			for _, list := range lists {
				for _, w := range list {
					value := fmt.Sprint(w.Value)
					if kind == "" || kind == "Source" && w.Value > 0 {
						value = fmt.Sprintf("1 << %d", log2(w.Value))
					}
					c := g.Id(word(kind, w.Name, list)).Id(typ).Op("=").Op(value)
					if w.Doc != "" {
						c.Comment(w.Doc)
					}
				}
			}
		})
		f.Line()
		if text == "" {
			return
		}
		f.Comment("String is " + text + ".")
		none := lists[len(lists)-1][0].Name
		f.Func().Params(jen.Id("v").Id(typ)).Id("String").Params().String().Block(
			jen.Switch(jen.Id("v")).BlockFunc(func(g *jen.Group) {
				for _, list := range lists {
					for _, w := range list {
						if w.Name != none {
							g.Case(jen.Id(word(kind, w.Name, list))).Block(jen.Return(jen.Lit(w.Name)))
						}
					}
				}
				g.Default().Block(jen.Return(jen.Lit(none)))
			}))
		f.Line()
	}
	if m.table.Lock != nil {
		m.eventVersions(f)
	}
	consts("Category", `the category's name as tables have it: "file", "io_read"`, t.Classes, t.OtherClasses)
	consts("Source", `the source's name as tables have it: "syscall"`, t.Sources)
	consts("Format", "the format's name as tables have it in `show:`", t.Shows)
	consts("", "", t.EventFlags)

	f.Const().DefsFunc(func(g *jen.Group) {
		g.Id("ParamNone").Id("ParamType").Op("=").Lit(0)
		for _, typ := range t.Types {
			c := g.Id(paramType(typ.Name)).Id("ParamType").Op("=").Lit(typ.Code)
			doc := typ.Doc
			if w, _ := m.wire(typ.Name); typ.Number() && w.goT != typ.Name {
				doc = w.goT
				if typ.Doc != "" {
					doc += ": " + typ.Doc
				}
			}
			if doc != "" {
				c.Comment(doc)
			}
		}
	})
	f.Line()
	f.Comment("paramTypes has each type's size in bytes (-1 if it varies), whether it is signed, and its name.")
	f.Var().Id("paramTypes").Op("=").Index(jen.Op("...")).Id("paramTypeInfo").ValuesFunc(func(g *jen.Group) {
		g.Line().Values(jen.Lit(0), jen.False(), jen.Lit("none"))
		for _, typ := range t.Types {
			size := typ.Size
			if size == 0 {
				size = -1
			}
			g.Line().Values(jen.Lit(size), jen.Lit(typ.Signed()), jen.Lit(typ.Name))
		}
		g.Line()
	})
	f.Line()
	named := make(map[uint64]bool)
	f.Comment("ErrnoName returns the name of a Linux error number (positive) on most\narchitectures; \"\" if it has none. Numbers from 512 on never reach user space: a\ntracer sees them where user space sees a restarted call.")
	f.Func().Id("ErrnoName").Params(jen.Id("n").Int64()).String().Block(
		jen.Switch(jen.Id("n")).BlockFunc(func(g *jen.Group) {
			for _, e := range t.Errnos {
				if !named[e.Value] {
					named[e.Value] = true
					g.Case(jen.Lit(int(e.Value))).Block(jen.Return(jen.Lit(e.Name)))
				}
			}
		}),
		jen.Return(jen.Lit("")),
	)
	f.Line()
	f.Comment("Errno returns the number of an error's name; 0 if it has none.")
	f.Func().Id("Errno").Params(jen.Id("name").String()).Int64().Block(
		jen.Switch(jen.Id("name")).BlockFunc(func(g *jen.Group) {
			for _, e := range t.Errnos {
				g.Case(jen.Lit(e.Name)).Block(jen.Return(jen.Lit(int(e.Value))))
			}
		}),
		jen.Return(jen.Lit(0)),
	)
	var err error
	files["scap/event/types_gen.go"], err = render(f)
	return err
}
