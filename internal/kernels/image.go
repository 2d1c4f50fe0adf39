// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/apt"
	"github.com/scaplab/scaplab/internal/kernels/internal/deb"
	"github.com/scaplab/scaplab/internal/kernels/internal/vmlinux"
)

// local reads a kernel that was given as a file: an image, an unpacked kernel or a package.
func (s *Store) local(file string) (Kernel, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Kernel{}, err
	}
	sum := files.Sum(b)
	meta := filepath.Join(s.Cache, "kernel", sum, "kernel.json")
	k, err := s.kept(meta)
	if err != nil {
		image := &deb.File{Name: file, Data: b}
		if bytes.HasPrefix(b, []byte("!<arch>\n")) {
			if image, err = kernelFromDeb(bytes.NewReader(b)); err != nil {
				return Kernel{}, fmt.Errorf("%s: %w", file, err)
			}
		}
		if k, err = s.unpack(image.Data, filepath.Dir(meta)); err != nil {
			return Kernel{}, fmt.Errorf("%s: %w", file, env.Disk(err))
		}
		k.Release = cmp.Or(k.Release, releaseOf(image.Name))
		if err := writeKernel(meta, k); err != nil {
			return Kernel{}, env.Disk(err)
		}
	}
	k.Name = file
	return k, nil
}

// unpack writes the image in the form that boots fastest: as ELF if QEMU can enter
// that, else unchanged.
func (s *Store) unpack(image []byte, dir string) (Kernel, error) {
	k := Kernel{Arch: s.Arch, Release: vmlinux.Release(image)}
	name := "vmlinuz"
	switch {
	case bytes.HasPrefix(image, []byte("\x7fELF")):
		if k.PVH = vmlinux.HasPVHEntry(image); !k.PVH && s.Arch == "amd64" {
			return Kernel{}, apt.OfKind(errors.New("ELF kernel without a PVH entry (CONFIG_PVH) cannot be booted; give the bzImage"), errUnusable)
		}
		name = "vmlinux"
	case vmlinux.IsBzImage(image):
		if elf, err := vmlinux.Extract(image); err != nil {
			s.log("%v; booting the packed image, which takes longer", err)
		} else if vmlinux.HasPVHEntry(elf) {
			image, name, k.PVH = elf, "vmlinux", true
		}
	case s.Arch == "amd64":
		return Kernel{}, apt.OfKind(errors.New("not a kernel: neither bzImage nor ELF"), errUnusable)
	}
	k.Image, k.Digest = filepath.Join(dir, name), files.Sum(image)
	return k, files.WriteAtomic(k.Image, image)
}

// errNoKernel: the package contains no kernel image.
var errNoKernel = errors.New("no kernel image in the package (looked for boot/vmlinu[xz]-* and usr/lib/modules/*/vmlinuz)")

// kernelFromDeb returns the kernel image in the package. From Linux 7.2 on
// Debian keeps it beside the modules, before that in /boot.
func kernelFromDeb(r io.Reader) (*deb.File, error) {
	f, err := deb.Find(r, func(name string) bool {
		for _, pattern := range []string{"boot/vmlinuz-*", "boot/vmlinux-*", "usr/lib/modules/*/vmlinuz", "lib/modules/*/vmlinuz"} {
			if ok, _ := path.Match(pattern, name); ok {
				return true
			}
		}
		return false
	})
	if errors.Is(err, deb.ErrNotFound) {
		return nil, errNoKernel
	}
	return f, err
}

// releaseOf returns the kernel release that the path of an image names, or "".
func releaseOf(file string) string {
	release := ""
	switch base := path.Base(file); {
	case strings.HasPrefix(base, "vmlinuz-"), strings.HasPrefix(base, "vmlinux-"):
		release = base[len("vmlinuz-"):]
	case base == "vmlinuz" && path.Base(path.Dir(path.Dir(file))) == "modules":
		release = path.Base(path.Dir(file))
	}
	if !vmlinux.IsRelease(release) {
		return ""
	}
	return release
}
