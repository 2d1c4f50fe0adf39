// SPDX-License-Identifier: Apache-2.0

package kernelfacts

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// syscalls finds the calls and their arguments. The types hold little of them: most functions of calls, __x64_sys_X, take the
// registers, and those with the arguments are inlined. The kernel itself lists calls for its tracepoints, in structures that
// are in its image ready made (struct syscall_metadata of linux/syscalls.h, with CONFIG_FTRACE_SYSCALLS). The types say how
// these are laid out. An image whose pointers are filled in at the start, as on arm64, has the names only.
func syscalls(image []byte, arch string, types *btf.Spec) ([]Syscall, error) {
	if f, err := elf.NewFile(bytes.NewReader(image)); err == nil && f.ByteOrder == binary.LittleEndian {
		if list := (&memory{image, f.Progs}).metadata(types); len(list) > 0 {
			return list, nil
		}
	}
	return named(arch, types)
}

// wrappers are the prefixes of the functions of calls.
var wrappers = map[string]string{"amd64": "__x64_sys_", "arm64": "__arm64_sys_", "s390x": "__s390x_sys_"}

// named returns the calls that the types have functions of. Some of these only return ENOSYS.
func named(arch string, types *btf.Spec) ([]Syscall, error) {
	found := map[string][]Arg{}
	for t, err := range types.All() {
		if err != nil {
			return nil, err
		}
		f, ok := t.(*btf.Func)
		if !ok {
			continue
		}
		if name, ok := strings.CutPrefix(f.Name, wrappers[arch]); ok && wrappers[arch] != "" && found[name] == nil {
			found[name] = nil
		}
		if name, ok := strings.CutPrefix(f.Name, "__do_sys_"); ok {
			found[name] = arguments(f)
		}
	}
	var list []Syscall
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, Syscall{Name: name, Args: found[name]})
	}
	return list, nil
}

func arguments(f *btf.Func) []Arg {
	args := []Arg{}
	if proto, ok := f.Type.(*btf.FuncProto); ok {
		for _, p := range proto.Params {
			if strings.HasSuffix(cType(p.Type), "struct pt_regs *") {
				continue // what functions of calls without arguments get
			}
			args = append(args, Arg{p.Name, spelled(p.Type)})
		}
	}
	return args
}

// memory is what an image puts where.
type memory struct {
	image []byte
	progs []*elf.Prog
}

// at returns what follows an address in the segment that has it.
func (m *memory) at(address uint64) []byte {
	for _, p := range m.progs {
		if p.Type == elf.PT_LOAD && address >= p.Vaddr && address < p.Vaddr+p.Filesz && p.Off+p.Filesz <= uint64(len(m.image)) {
			return m.image[p.Off:][address-p.Vaddr : p.Filesz]
		}
	}
	return nil
}

// text returns the string at an address, if there is a short one.
func (m *memory) text(address uint64) (string, bool) {
	const longest = 100
	b := m.at(address)
	n := bytes.IndexByte(b[:min(len(b), longest)], 0)
	if n <= 0 {
		return "", false
	}
	return string(b[:n]), true
}

// metadata finds the structures that describe calls. Nothing in the image says where they are: a structure is one if it
// begins with the address of a name sys_X, has no number yet, and points to the texts of as many arguments as it says.
func (m *memory) metadata(types *btf.Spec) []Syscall {
	layout, ok := metadataLayout(types)
	if !ok {
		return nil
	}
	found := map[string][]Arg{}
	for _, p := range m.progs {
		if p.Type != elf.PT_LOAD || p.Flags&elf.PF_W == 0 || p.Off+p.Filesz > uint64(len(m.image)) {
			continue
		}
		data := m.image[p.Off:][:p.Filesz]
		for at := 0; at+layout.size <= len(data); at += 8 {
			s := data[at:][:layout.size]
			if int32(binary.LittleEndian.Uint32(s[layout.number:])) != -1 {
				continue
			}
			name, ok := m.text(binary.LittleEndian.Uint64(s[layout.name:]))
			symbol, isCall := strings.CutPrefix(name, "sys_")
			if !ok || !isCall {
				continue
			}
			if args, ok := m.arguments(s, layout); ok {
				found[symbol] = args
			}
		}
	}
	var list []Syscall
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, Syscall{Name: name, Args: found[name]})
	}
	return list
}

// arguments reads the two lists of texts that a structure points to.
func (m *memory) arguments(s []byte, l layout) ([]Arg, bool) {
	const most = 6
	count := int(s[l.count]) & l.countMask
	if count > most {
		return nil, false
	}
	types, names := m.at(binary.LittleEndian.Uint64(s[l.types:])), m.at(binary.LittleEndian.Uint64(s[l.args:]))
	args := []Arg{}
	for i := range count {
		if len(types) < 8*(i+1) || len(names) < 8*(i+1) {
			return nil, false
		}
		typ, ok1 := m.text(binary.LittleEndian.Uint64(types[8*i:]))
		name, ok2 := m.text(binary.LittleEndian.Uint64(names[8*i:]))
		if !ok1 || !ok2 {
			return nil, false
		}
		args = append(args, Arg{name, typ})
	}
	return args, true
}

// layout has the offsets of members of struct syscall_metadata, in bytes.
type layout struct {
	name, number, count, types, args, size int
	countMask                              int
}

func metadataLayout(types *btf.Spec) (l layout, ok bool) {
	var s *btf.Struct
	if types.TypeByName("syscall_metadata", &s) != nil {
		return l, false
	}
	l.size, l.countMask = int(s.Size), 0xff
	places := map[string]*int{"name": &l.name, "syscall_nr": &l.number, "nb_args": &l.count, "types": &l.types, "args": &l.args}
	for _, m := range s.Members {
		if place := places[m.Name]; place != nil {
			*place = int(m.Offset.Bytes())
			delete(places, m.Name)
			if m.Name == "nb_args" && m.BitfieldSize > 0 { // it shares a byte since 6.19
				l.countMask = 1<<m.BitfieldSize - 1
			}
		}
	}
	return l, len(places) == 0
}
