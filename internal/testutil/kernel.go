// SPDX-License-Identifier: Apache-2.0

// Package testutil has helpers for tests: skips with their reason, golden
// files, annotated input.
package testutil

import (
	"os"
	"runtime"
	"testing"

	"github.com/scaplab/scaplab/internal/kver"
)

// SkipIfShort skips a test that takes too long for the daily loop, because it
// does what.
func SkipIfShort(tb testing.TB, what string) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("-short: it " + what)
	}
}

// SkipUnderRace skips a test of one goroutine only that takes long under the race detector, which
// has nothing to look for there.
func SkipUnderRace(tb testing.TB) {
	tb.Helper()
	if Race {
		tb.Skip("one goroutine, and slow under the race detector")
	}
}

// SkipUnlessRoot skips a test that needs root's rights.
func SkipUnlessRoot(tb testing.TB) {
	tb.Helper()
	if reason := notRoot(runtime.GOOS, os.Geteuid()); reason != "" {
		tb.Skip(reason)
	}
}

func notRoot(goos string, euid int) string {
	switch {
	case goos != "linux":
		return "needs Linux, this is " + goos
	case euid != 0:
		return "needs root"
	}
	return ""
}

// SkipUnlessKernel skips a test of a feature that kernels have from version on.
func SkipUnlessKernel(tb testing.TB, version, feature string) {
	tb.Helper()
	running, err := kver.Running()
	if err != nil {
		tb.Skipf("needs Linux %s for %s: %v", version, feature, err)
	}
	if reason := tooOld(running, version, feature); reason != "" {
		tb.Skip(reason)
	}
}

func tooOld(running kver.Version, version, feature string) string {
	if running.Less(kver.MustParse(version)) {
		return "needs Linux " + version + " for " + feature + ", this is " + running.String()
	}
	return ""
}

// btfFile is where the kernel shows its own types.
const btfFile = "/sys/kernel/btf/vmlinux"

// SkipUnlessBTF skips a test that loads CO-RE programs on a kernel that does not
// tell its types.
func SkipUnlessBTF(tb testing.TB) {
	tb.Helper()
	if reason := noBTF(btfFile); reason != "" {
		tb.Skip(reason)
	}
}

func noBTF(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "needs the kernel's BTF: " + err.Error()
	}
	f.Close()
	return ""
}
