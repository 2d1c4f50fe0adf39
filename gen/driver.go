// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/tables"
)

const driverPath = "github.com/scaplab/scaplab/driver"

var drops = map[string]string{"": "DropSampled", "sampled": "DropSampled", "always": "DropAlways", "never": "DropNever"}

// driverTable makes driver/table_gen.go: the programs to load and the numbers to dispatch.
func (m *model) driverTable(files map[string][]byte) error {
	var err error
	f := goFile(driverPath, "driver")
	f.Comment("events lists the events that the drivers make, in the order of their codes.")
	f.Var().Id("events").Op("=").Index(jen.Op("...")).Id("Event").ValuesFunc(func(g *jen.Group) {
		for _, e := range m.driven() {
			g.Line().ValuesFunc(func(g *jen.Group) {
				field := func(name string) *jen.Statement { return g.Id(name).Op(":") }
				code := fmt.Sprint(e.Code)
				if e.Code >= abi.FirstOwn {
					code = fmt.Sprintf("%#x", e.Code)
				}
				field("Code").Op(code)
				field("Symbol").Lit(e.Symbol)
				field("Program").Lit("x_" + e.Symbol)
				field("Object").Lit(e.object())
				field("From").Lit(e.From)
				field("Params").Lit(len(e.Params))
				if e.fixed > 0 {
					field("Fixed").Lit(e.fixed)
				}
				if len(e.calls) == 0 {
					return
				}
				drop := e.calls[0].Drop
				if drops[drop] == "" {
					err = fmt.Errorf("%v: %s: unknown drop class %s", e.Pos, e.Symbol, drop)
				} else if drops[drop] != "DropSampled" {
					field("Drop").Id(drops[drop])
				}
				field("Calls").Index().Id("Call").ValuesFunc(func(g *jen.Group) {
					for _, s := range e.calls {
						g.Add(m.driverCall(s))
					}
				})
			})
		}
		g.Line()
	})
	if err != nil {
		return err
	}
	files["driver/table_gen.go"], err = render(f)
	return err
}

// numbers returns a call's native numbers in the order of nativeArches.
func numbers(nr map[string]int) string {
	list := make([]string, len(nativeArches))
	for i, a := range nativeArches {
		list[i] = "-1"
		if n, ok := nr[a]; ok {
			list[i] = fmt.Sprint(n)
		}
	}
	return strings.Join(list, ", ")
}

// driverCall returns the Go literal of a call.
func (m *model) driverCall(s *tables.Syscall) jen.Code {
	return jen.ValuesFunc(func(g *jen.Group) {
		field := func(name string) *jen.Statement { return g.Id(name).Op(":") }
		field("Name").Lit(s.Name)
		field("NR").Id("NR").Op("{" + numbers(s.NR) + "}")
		if s.Socketcall != 0 {
			field("Socketcall").Lit(s.Socketcall)
		}
		if s.Keeps != "" {
			field("Keeps").Lit(s.Keeps)
		}
		if s.DropFailed {
			field("DropFailed").True()
		}
		if s.DropUnless != nil {
			field("DropUnless").True()
		}
		if f := s.Fires; f != nil {
			field("Fires").Op("&").Id("Fires").ValuesFunc(func(g *jen.Group) {
				g.Id("Tracepoint").Op(":").Lit(f.Tracepoint)
				g.Id("Program").Op(":").Lit("t_" + m.entry(f.Event).Exit.Symbol)
				g.Id("On").Op(":").Index().String().Op(stringList(f.On))
			})
		}
	})
}

// stringList returns the elements of a Go slice of strings.
func stringList(list []string) string {
	var quoted []string
	for _, s := range list {
		quoted = append(quoted, fmt.Sprintf("%q", s))
	}
	return "{" + strings.Join(quoted, ", ") + "}"
}
