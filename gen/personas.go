// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/tables"
)

// persona is a version of the reference that the kernel module can speak.
type persona struct {
	tables.Version
	Older bool // it does not have the params that the table marks as newer
}

// personas returns the versions of the lock, the default first.
func (m *model) personas() (list []persona) {
	versions := m.table.Lock.Versions
	for _, v := range versions {
		list = append(list, persona{v, v.Codes < versions[0].Codes})
	}
	return list
}

// personaNames lists the personas for people: "2.0.0 (schema 4.5.2) or 1.0.0 (schema 4.1.0)".
func (m *model) personaNames() string {
	var names []string
	for _, v := range m.table.Lock.Versions {
		names = append(names, fmt.Sprintf("%s (schema %s)", v.API, v.Schema))
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// eventVersions writes the versions for package event.
func (m *model) eventVersions(f *jen.File) {
	list := m.personas()
	last := list[len(list)-1]
	f.Comment("Versions of the reference: of its events (all codes below FirstOwn) and of its kernel\nmodule's interface. The old ones are the\noldest that our module speaks: libs up to 0.23, and so released readers of captures, have them.")
	f.Const().Defs(
		jen.Id("APIVersion").Op("=").Lit(list[0].API),
		jen.Id("SchemaVersion").Op("=").Lit(list[0].Schema),
		jen.Id("OldAPIVersion").Op("=").Lit(last.API),
		jen.Id("OldSchemaVersion").Op("=").Lit(last.Schema),
		jen.Id("OldCodes").Op("=").Lit(int(last.Codes)).Comment("their event codes are below it"),
	)
	f.Line()
	f.Comment("OwnSchemaVersion is the version of the whole schema, with the events that the reference does not have.")
	f.Const().Id("OwnSchemaVersion").Op("=").Lit(m.table.Lock.Own)
	f.Line()
	f.Var().Id("personas").Op("=").Index(jen.Op("...")).Id("Persona").ValuesFunc(func(g *jen.Group) {
		for _, p := range list {
			g.Line().Values(jen.Lit(p.API), jen.Lit(p.Schema), jen.Lit(int(p.Codes)), jen.Lit(int(p.IDs)), jen.Lit(p.Older))
		}
		g.Line()
	})
	f.Line()
}
