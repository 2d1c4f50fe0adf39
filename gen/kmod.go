// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

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
	IA32             []string
	Socketcalls      []string // "[1] = {41, 3, NULL}", by number of the sub-call
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
				if nr, ok := s.NR[arch]; ok {
					if e.From == "sys_enter" {
						enter[nr] = "&ev_" + e.Symbol
					} else {
						exit[nr] = "&ev_" + e.Symbol
					}
				}
			}
		}
		ids, native := make(map[int]string), make(map[string]int)
		for _, id := range m.table.IDs {
			if nr, ok := id.NR[arch]; ok {
				ids[nr] = fmt.Sprint(id.Code)
				native[id.Name] = nr
			}
		}
		if arch == "amd64" {
			ia32 := make(map[int]string)
			for _, id := range m.table.IDs {
				name := id.Name
				if id.IA32 != "" {
					name = id.IA32
				}
				nr, ok := id.NR["386"]
				if to, known := native[name]; ok && known {
					ia32[nr] = fmt.Sprint(to + 1)
				}
			}
			a.IA32 = designated(ia32)
			a.Socketcalls = m.kmodSocketcalls()
		}
		a.Exit, a.Enter, a.IDs = designated(exit), designated(enter), designated(ids)
		arches = append(arches, a)
	}
	text, err := execute("kmod.h.tmpl", map[string]any{"Events": events, "Arches": arches})
	files["driver/kmod/table_gen.h"] = text
	return err
}

// kmodSocketcalls returns the sub-calls of socketcall. One without a native number has its event instead.
func (m *model) kmodSocketcalls() []string {
	byNumber := make(map[int]string)
	next := 0
	for _, s := range m.socketcalls() {
		for ; next < s.Socketcall; next++ {
			byNumber[next] = "{NO_SYSCALL}"
		}
		next++
		nr, ok := s.NR["amd64"]
		if ok {
			byNumber[s.Socketcall] = fmt.Sprintf("{%d, %d} /* %s */", nr, len(s.Params), s.Name)
		} else {
			byNumber[s.Socketcall] = fmt.Sprintf("{NO_SYSCALL, %d, &ev_%s}", len(s.Params), s.Exit.Symbol)
		}
	}
	return designated(byNumber)
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
				g.Lit(id.IA32)
			})
		}
		g.Line()
	})
	if nr := m.socketcallNumber(); nr != 0 {
		f.Comment("IA32Socketcall is the number of socketcall for 32-bit tasks on amd64.")
		f.Const().Id("IA32Socketcall").Op("=").Lit(nr)
	}
	files["driver/ids_gen.go"], err = render(f)
	return err
}
