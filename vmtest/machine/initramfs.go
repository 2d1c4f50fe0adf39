// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// initramfsDirs are the empty directories of a guest's root.
var initramfsDirs = []string{"dev", "etc", "proc", "root", "run", "sys", "tmp", "var"}

// Initramfs returns an uncompressed newc archive with program as /init
// and files in the root directory.
func Initramfs(program []byte, files map[string][]byte) ([]byte, error) {
	if err := CheckStatic(program); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(len(program) + 8<<10)
	w := cpioWriter{w: &b}
	for _, d := range initramfsDirs {
		w.entry(d, 0o040755, nil)
	}
	w.entry("init", 0o100755, program)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w.entry(name, 0o100644, files[name])
	}
	w.entry("TRAILER!!!", 0, nil)
	return b.Bytes(), nil
}

// machines are the ELF machine types by GOARCH.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// CheckInit returns an error if the program cannot be init of machines of arch.
func CheckInit(program []byte, arch string) error {
	return errors.Join(CheckStatic(program), checkArch(program, arch))
}

// checkArch returns an error if a program is for another processor.
func checkArch(program []byte, arch string) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("init program: %w", err)
	}
	if f.Machine != machines[arch] {
		return fmt.Errorf("init program is for %v, the kernel for %s", f.Machine, arch)
	}
	return nil
}

// CheckStatic returns an error if a program needs an interpreter or shared libraries:
// the guest has neither.
func CheckStatic(program []byte) error {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return fmt.Errorf("init program: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			interp, _ := io.ReadAll(p.Open())
			return fmt.Errorf("init program needs %s (build it with CGO_ENABLED=0)", strings.TrimRight(string(interp), "\x00"))
		}
	}
	return nil
}

// cpioWriter writes entries of the newc format. Writing to w cannot fail.
type cpioWriter struct {
	w   *bytes.Buffer
	ino uint32
}

func (c *cpioWriter) entry(name string, mode uint32, data []byte) {
	c.ino++
	nlink := 1
	if mode&0o170000 == 0o040000 {
		nlink = 2
	}
	// magic, ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
	fmt.Fprintf(c.w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		c.ino, mode, 0, 0, nlink, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.w.WriteString(name)
	c.w.WriteByte(0)
	c.pad()
	c.w.Write(data)
	c.pad()
}

func (c *cpioWriter) pad() {
	for c.w.Len()%4 != 0 {
		c.w.WriteByte(0)
	}
}
