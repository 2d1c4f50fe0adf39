// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/tables"
)

// guestStructs makes vmtest/guest/object/structs_gen.go: the structs that cases build and
// read by field, in the layout of 64-bit tasks.
func (m *model) guestStructs(files map[string][]byte) error {
	f := goFile(guestPath+"/object", "object")
	f.HeaderComment("//go:build linux && (amd64 || arm64)")
	f.Comment("structs has the layouts of structs.yaml for 64-bit tasks.")
	f.Var().Id("structs").Op("=").Map(jen.String()).Id("structLayout").ValuesFunc(func(g *jen.Group) {
		for _, s := range m.table.Structs {
			g.Line().Lit(s.Name).Op(":").Values(onArch(s.Size), jen.Index().Id("structField").ValuesFunc(func(g *jen.Group) {
				for _, fd := range s.Fields {
					g.Line().Add(structField(fd))
				}
				g.Line()
			}))
		}
		g.Line()
	})
	f.Line()
	f.Comment("cSizes has the sizes of C's integer types in 64-bit tasks.")
	f.Var().Id("cSizes").Op("=").Map(jen.String()).Int().Values(jen.DictFunc(func(d jen.Dict) {
		for name, size := range tables.CSizes() {
			d[jen.Lit(name)] = jen.Lit(size)
		}
	}))
	var err error
	files["vmtest/guest/object/structs_gen.go"], err = render(f)
	return err
}

// onArch returns a number in the layout of 64-bit tasks.
func onArch(l tables.Layouts) jen.Code {
	if l[0] == l[2] {
		return jen.Lit(l[0])
	}
	return jen.Id("x86Or").Call(jen.Lit(l[0]), jen.Lit(l[2]))
}

func structField(f tables.StructField) jen.Code {
	return jen.ValuesFunc(func(g *jen.Group) {
		g.Id("name").Op(":").Lit(f.Name)
		g.Id("offset").Op(":").Add(onArch(f.Offset))
		g.Id("size").Op(":").Add(onArch(f.Type.Size))
		if f.Type.Signed {
			g.Id("signed").Op(":").True()
		}
		if f.Type.Count > 0 {
			g.Id("count").Op(":").Lit(f.Type.Count)
		}
		if f.Type.Struct != nil {
			g.Id("of").Op(":").Lit(f.Type.Struct.Name)
		}
	})
}
