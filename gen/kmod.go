// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"
)

// dropCategories are the calls whose lost events the module counts apart: names
// of the module's ABI (ring_info), by exit event; opens and connects count
// their enter events apart, too.
var dropCategories = map[string][]string{
	"DROPS_CLONE_FORK": {"clone", "clone3", "fork", "vfork"},
	"DROPS_EXECVE":     {"execve", "execveat"},
	"DROPS_OPEN":       {"open", "creat", "openat", "openat2", "open_by_handle_at"},
	"DROPS_CONNECT":    {"connect"},
	"DROPS_CLOSE":      {"close"},
	"DROPS_PROC_EXIT":  {"procexit"},
	"DROPS_DIR_FILE": {"dup", "chmod", "fchmod", "fchmodat", "chown", "lchown", "fchown", "fchownat", "link", "linkat",
		"mkdir", "mkdirat", "mount", "umount", "umount2", "rename", "renameat", "renameat2", "rmdir", "symlink",
		"symlinkat", "unlink", "unlinkat"},
	"DROPS_OTHER_INTEREST": {"bpf", "setpgid", "ptrace", "seccomp", "setns", "setresgid", "setresuid", "setsid",
		"unshare", "capset", "keyctl"},
}

func dropCategory(e *event) string {
	for category, names := range dropCategories {
		if !slices.Contains(names, e.Name) {
			continue
		}
		if e.From == "sys_enter" {
			return category + "_ENTER"
		}
		return category
	}
	return "DROPS_NONE"
}

// kmodArch is how the module's C asks for an architecture.
var kmodArch = map[string]string{"amd64": "CONFIG_X86_64", "arm64": "CONFIG_ARM64", "riscv64": "CONFIG_RISCV",
	"loong64": "CONFIG_LOONGARCH", "s390x": "CONFIG_S390", "ppc64le": "CONFIG_PPC64"}

type kmodEvent struct {
	Symbol, Upper, Drop, Category string
	DropFailed                    bool
}

type kmodArchData struct {
	Config           string
	Exit, Enter, IDs []string // "[257] = &ev_openat_exit", by number
	IA32             []string
}

// kmodTable is driver/kmod/table_gen.h: the module's events, by native number.
func (m *model) kmodTable(files map[string][]byte) error {
	var events []kmodEvent
	for _, e := range m.driven() {
		drop := "DROP_ALWAYS" // switches, signals, page faults
		if len(e.calls) > 0 {
			drop = "DROP_" + strings.ToUpper(e.calls[0].Drop)
		} else if e.Name == "procexit" || e.Source == "metaevent" {
			drop = "DROP_NEVER"
		}
		events = append(events, kmodEvent{e.Symbol, strings.ToUpper(e.Symbol), drop, dropCategory(e),
			e.Symbol == "close_exit" || e.Symbol == "bind_exit"})
	}
	var arches []kmodArchData
	for _, arch := range Arches {
		a := kmodArchData{Config: kmodArch[arch]}
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
		}
		a.Exit, a.Enter, a.IDs = designated(exit), designated(enter), designated(ids)
		arches = append(arches, a)
	}
	text, err := execute("kmod.h.tmpl", map[string]any{"Events": events, "Arches": arches})
	files["driver/kmod/table_gen.h"] = text
	return err
}

// designated are C initializers by index.
func designated(byNumber map[int]string) []string {
	var out []string
	for _, nr := range slices.Sorted(maps.Keys(byNumber)) {
		out = append(out, fmt.Sprintf("[%d] = %s,", nr, byNumber[nr]))
	}
	return out
}

// driverIDs is driver/ids_gen.go: the codes that generic events carry.
func (m *model) driverIDs(files map[string][]byte) error {
	var err error
	f := goFile(driverPath, "driver")
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
	files["driver/ids_gen.go"], err = render(f)
	return err
}
