// SPDX-License-Identifier: Apache-2.0

package kmodbuild

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"strings"
)

// The compilers and their libraries come from one release of Debian for all kernels:
// its C library is new enough for the programs in header packages, and modules do
// not depend on this machine.
const (
	toolSuite = "trixie"
	gcc       = "gcc-14"
)

// toolchain is what modules for an architecture are built with, on this machine.
type toolchain struct {
	arch     string // of the modules, as the kernel's build system calls it
	prefix   string // of the names of the compiler and of binutils, "" if the modules are for this machine's architecture
	packages []string
}

// compiler returns the name of the C compiler.
func (t *toolchain) compiler() string { return t.prefix + gcc }

// toolchains are those that Debian has for modules of an architecture (GOARCH).
var toolchains = map[string]struct{ arch, triplet string }{
	"amd64": {"x86", "x86-64-linux-gnu"},
	"arm64": {"arm64", "aarch64-linux-gnu"},
}

// toolchainFor returns the tools that make modules for an architecture (GOARCH); "" means this
// machine's.
func toolchainFor(arch string) (*toolchain, error) {
	arch = cmp.Or(arch, runtime.GOARCH)
	known, ok := toolchains[arch]
	if !ok {
		return nil, fmt.Errorf("modules for %s cannot be built (want amd64 or arm64)", arch)
	}
	t := &toolchain{arch: known.arch, packages: []string{gcc, "binutils", "make", "pahole", "dash", "bash", "coreutils", "findutils",
		"gawk", "grep", "sed", "perl-base", "libelf1t64"}}
	if arch != runtime.GOARCH {
		t.packages = append(t.packages, gcc+"-"+known.triplet, "binutils-"+known.triplet)
		t.prefix = strings.ReplaceAll(known.triplet, "x86-64", "x86_64") + "-" // Debian's package names have no underscores
	}
	return t, nil
}

// dir returns the name of the directory that has the tools.
func (t *toolchain) dir() string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{toolSuite}, t.packages...), " ")))
	return toolSuite + "-" + hex.EncodeToString(sum[:6])
}

// variables returns what the kernel's build system is told.
func (t *toolchain) variables() []string {
	return []string{"ARCH=" + t.arch, "CROSS_COMPILE=" + t.prefix, "CC=" + t.compiler(), "HOSTCC=" + gcc}
}
