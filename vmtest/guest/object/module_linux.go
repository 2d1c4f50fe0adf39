// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// newModule makes a minimal module that the kernel accepts: a struct
// module with only a name. It has neither the version of the kernel nor those of
// symbols; kernels with CONFIG_MODULE_FORCE_LOAD accept that.
func newModule(c *Maker, _ []any) (any, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("types of the kernel: %w", err)
	}
	var typ *btf.Struct
	if err := spec.TypeByName("module", &typ); err != nil {
		return nil, fmt.Errorf("struct module: %w", err)
	}
	offset := -1
	for _, m := range typ.Members {
		if m.Name == "name" {
			offset = int(m.Offset.Bytes())
		}
	}
	if offset < 0 {
		return nil, errors.New("struct module has no name")
	}
	c.made++
	name := fmt.Sprintf("scaplab_case_%d_%d", os.Getpid(), c.made)
	this := make([]byte, typ.Size)
	copy(this[offset:], name)
	r, err := newRegionOf(moduleImage(name, this))
	if err != nil {
		return nil, err
	}
	c.Behind = append(c.Behind, func() { _ = unix.DeleteModule(name, unix.O_NONBLOCK) })
	return memory("module", r, map[string]any{"name": name, "size": int64(len(r.b))}), nil
}

// moduleImage returns a relocatable object with the sections that a module must have.
func moduleImage(name string, this []byte) []byte {
	const header, section, symbol = 64, 64, 24
	type part struct {
		name        string
		typ         elf.SectionType
		flags       elf.SectionFlag
		data        []byte
		link        uint32
		align, size uint64 // of an entry
	}
	parts := []part{
		{},
		{name: ".gnu.linkonce.this_module", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, data: this, align: 64},
		{name: ".modinfo", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, data: []byte("license=GPL\x00name=" + name + "\x00"), align: 1},
		{name: ".symtab", typ: elf.SHT_SYMTAB, data: make([]byte, symbol), link: 4, align: 8, size: symbol},
		{name: ".strtab", typ: elf.SHT_STRTAB, data: []byte{0}, align: 1},
	}
	if runtime.GOARCH == "arm64" { // whose loader needs these for far jumps
		for _, plt := range []string{".plt", ".init.plt", ".text.ftrace_trampoline", ".init.text.ftrace_trampoline"} {
			parts = append(parts, part{name: plt, typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, data: []byte{0}, align: 1})
		}
	}
	parts = append(parts, part{name: ".shstrtab", typ: elf.SHT_STRTAB, align: 1})
	names := []byte{0}
	at := make([]uint32, len(parts))
	for i, p := range parts[1:] {
		at[i+1] = uint32(len(names))
		names = append(append(names, p.name...), 0)
	}
	parts[len(parts)-1].data = names

	var w words
	w.b = make([]byte, header)
	offsets := make([]uint64, len(parts))
	for i, p := range parts {
		w.align(64)
		offsets[i] = uint64(len(w.b))
		w.b = append(w.b, p.data...)
	}
	w.align(64)
	table := uint64(len(w.b))
	for i, p := range parts {
		if i == 0 {
			offsets[i] = 0
		}
		w.u32(at[i])
		w.u32(uint32(p.typ))
		w.u64(uint64(p.flags))
		w.u64(0)
		w.u64(offsets[i])
		w.u64(uint64(len(p.data)))
		w.u32(p.link)
		w.u32(0)
		w.u64(p.align)
		w.u64(p.size)
	}

	var h words
	h.b = append(h.b, "\x7fELF\x02\x01\x01"...)
	h.align(16)
	h.u16(uint16(elf.ET_REL))
	h.u16(elfMachine)
	h.u32(1)
	h.u64(0) // entry
	h.u64(0) // program headers
	h.u64(table)
	h.u32(0) // flags
	h.u16(header)
	h.u16(0)
	h.u16(0)
	h.u16(section)
	h.u16(uint16(len(parts)))
	h.u16(uint16(len(parts) - 1)) // section of their names
	copy(w.b, h.b)
	return w.b
}

func loadImage(_ *Maker, args []any) (any, error) {
	o, err := argObject(args, 0)
	if err != nil {
		return nil, err
	}
	image, err := argBytes(args, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.InitModule(image, ""); err != nil {
		return nil, err
	}
	return o.fields["name"], nil
}
