// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"slices"
	"strings"
)

// Arch is an architecture of the table.
type Arch struct {
	Name    string // GOARCH
	Generic bool   // it uses the numbers of asm-generic/unistd.h
	Config  string // the kernel's option: CONFIG_X86_64
	BPF     string // clang's name of it for eBPF; "" without an eBPF driver
}

// AllArches are the architectures, in the order in which native numbers are listed everywhere.
func AllArches() []Arch {
	return []Arch{
		{Name: "amd64", Config: "CONFIG_X86_64", BPF: "x86"},
		{Name: "arm64", Config: "CONFIG_ARM64", BPF: "arm64", Generic: true},
		{Name: "riscv64", Config: "CONFIG_RISCV", Generic: true},
		{Name: "loong64", Config: "CONFIG_LOONGARCH", Generic: true},
		{Name: "s390x", Config: "CONFIG_S390"},
		{Name: "ppc64le", Config: "CONFIG_PPC64"},
	}
}

// IA32 is the name of 32-bit tasks on amd64 among the architectures.
const IA32 = "386"

// Macro returns the macro that the drivers' C defines on the architecture.
func (a Arch) Macro() string { return "SCAP_ARCH_" + strings.ToUpper(a.Name) }

func archNames(ok func(Arch) bool) []string {
	var out []string
	for _, a := range AllArches() {
		if ok(a) {
			out = append(out, a.Name)
		}
	}
	return out
}

var (
	// Arches are the names of the architectures.
	Arches = archNames(func(Arch) bool { return true })

	genericArches = archNames(func(a Arch) bool { return a.Generic })
	bpfArches     = archNames(func(a Arch) bool { return a.BPF != "" })
)

// ArchOf returns the architecture of that name.
func ArchOf(name string) Arch {
	all := AllArches()
	return all[slices.IndexFunc(all, func(a Arch) bool { return a.Name == name })]
}

// expandArch returns the architectures that a key of nr, since or native stands for.
func expandArch(key string) []string {
	switch key {
	case "generic":
		return genericArches
	case "all":
		return Arches
	}
	return []string{key}
}
