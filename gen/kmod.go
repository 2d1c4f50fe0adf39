// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/tables"
)

// lostCounter returns the module's counter (enum drop_category) for lost events of a type. The
// enter events of opens and connects have counters of their own.
func lostCounter(e *event) string {
	lost := e.Lost
	if len(e.calls) > 0 {
		lost = e.calls[0].Lost
	}
	switch {
	case lost == "":
		return "DROPS_NONE"
	case e.From == "sys_enter":
		return "DROPS_" + strings.ToUpper(lost) + "_ENTER"
	}
	return "DROPS_" + strings.ToUpper(lost)
}

type kmodEvent struct {
	Symbol, Upper, Drop, Category string
	DropFailed                    bool
	OldParams                     int // params that the older reference has; 0: all
}

type kmodArchData struct {
	Macro            string
	Exit, Enter, IDs []string // "[257] = &ev_openat_exit", by number
}

// kmodTable makes driver/kmod/table_gen.h: the module's events, by native number.
func (m *model) kmodTable(files map[string][]byte) error {
	var events []kmodEvent
	for _, e := range m.driven() {
		drop, dropFailed := e.Drop, false
		if len(e.calls) > 0 {
			drop, dropFailed = e.calls[0].Drop, e.calls[0].DropFailed && e.From == "sys_exit"
		}
		old := oldParams(e)
		if old == len(e.Params) {
			old = 0
		}
		events = append(events, kmodEvent{e.Symbol, strings.ToUpper(e.Symbol), "DROP_" + strings.ToUpper(drop), lostCounter(e), dropFailed, old})
	}
	var arches []kmodArchData
	for _, arch := range tables.Arches {
		a := kmodArchData{Macro: tables.ArchOf(arch).Macro()}
		exit, enter := make(map[int]string), make(map[int]string)
		for _, e := range m.driven() {
			for _, s := range e.calls {
				if nr, ok := m.place(s, arch); ok {
					if e.From == "sys_enter" {
						enter[nr] = "&ev_" + e.Symbol
					} else {
						exit[nr] = "&ev_" + e.Symbol
					}
				}
			}
		}
		ids := make(map[int]string)
		for _, id := range m.table.IDs {
			if nr, ok := id.NR[arch]; ok {
				ids[nr] = fmt.Sprint(id.Code)
			}
		}
		a.Exit, a.Enter, a.IDs = designated(exit), designated(enter), designated(ids)
		arches = append(arches, a)
	}
	text, err := execute("kmod.h.tmpl", map[string]any{"Events": events, "Arches": arches})
	files["driver/kmod/table_gen.h"] = text
	return err
}

func placesText(places map[int]int) string {
	var list []string
	for _, nr := range slices.Sorted(maps.Keys(places)) {
		list = append(list, fmt.Sprintf("%d: %d", nr, places[nr]))
	}
	return strings.Join(list, ", ")
}

// designated returns C initializers by index.
func designated(byNumber map[int]string) []string {
	var out []string
	for _, nr := range slices.Sorted(maps.Keys(byNumber)) {
		out = append(out, fmt.Sprintf("[%d] = %s,", nr, byNumber[nr]))
	}
	return out
}

// driverIDs makes driver/ids_gen.go: the codes that generic events carry.
func (m *model) driverIDs(files map[string][]byte) error {
	var err error
	f := goFile(driverPath, "driver")
	f.Comment("arches are the architectures of NR, by GOARCH; 386 is the number a\n32-bit task uses on amd64.")
	f.Var().Id("arches").Op("=").Index(jen.Op("...")).String().ValuesFunc(func(g *jen.Group) {
		for _, a := range nativeArches {
			g.Lit(a)
		}
	})
	f.Line()
	f.Comment("ids are the syscall codes of the file format, in their order.")
	f.Var().Id("ids").Op("=").Index(jen.Op("...")).Id("ID").ValuesFunc(func(g *jen.Group) {
		for _, id := range m.table.IDs {
			g.Line().ValuesFunc(func(g *jen.Group) {
				g.Lit(int(id.Code))
				g.Lit(id.Name)
				g.Id(drops[id.Drop])
				g.Id("NR").Op("{" + numbers(id.NR) + "}")
				g.Lit(id.Symbol)
			})
		}
		g.Line()
	})
	f.Comment("ia32Only are the calls that only 32-bit tasks have on amd64, with their places in the tables by call.")
	f.Var().Id("ia32Only").Op("=").Map(jen.String()).Int().Values(jen.DictFunc(func(d jen.Dict) {
		add := func(name string, nr map[string]int, socketcall int) {
			if place, ok := m.place(&tables.Syscall{Name: name, NR: nr, Socketcall: socketcall}, "amd64"); ok && place >= abi.Syscalls {
				d[jen.Lit(name)] = jen.Lit(place)
			}
		}
		for _, id := range m.table.IDs {
			add(id.Name, id.NR, 0)
		}
		for _, s := range m.table.Syscalls {
			add(s.Name, s.NR, s.Socketcall)
		}
	}))
	d := &callsData{}
	if err := m.foreignCalls(d); err != nil {
		return err
	}
	f.Comment("ia32Places are the places in the tables by call of the numbers that 32-bit tasks use on amd64.")
	f.Var().Id("ia32Places").Op("=").Map(jen.Int()).Int().Op("{" + placesText(d.Places) + "}")
	f.Comment("socketcallPlaces are those of the calls that socketcall makes.")
	f.Var().Id("socketcallPlaces").Op("=").Index(jen.Op("...")).Int().ValuesFunc(func(g *jen.Group) {
		for _, place := range d.SocketcallPlaces {
			g.Lit(place)
		}
	})
	if nr := m.socketcallNumber(); nr != 0 {
		f.Comment("IA32Socketcall is the number of socketcall for 32-bit tasks on amd64.")
		f.Const().Id("IA32Socketcall").Op("=").Lit(nr)
	}
	files["driver/ids_gen.go"], err = render(f)
	return err
}
