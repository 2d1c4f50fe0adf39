// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// portable are the packages that need no live kernel, and those that build on
// other systems only to fail there when they are used, so that the commands build.
var portable = []string{
	"./scap", "./scap/event", "./scap/scaptest", "./scap/savefile", "./scap/proc", "./internal/expr", "./internal/kver", "./tables",
	"./scap/ebpf", "./scap/kmod", "./cmd/scap",
}

// build is what make cross sets.
var build = flag.Bool("build", false, "build for other systems, too: minutes when nothing is in the build cache")

func TestWhatNeedsNoKernelCompilesEverywhere(t *testing.T) {
	SkipUnderRace(t)
	for _, target := range []string{"windows/amd64", "darwin/arm64", "freebsd/amd64", "linux/s390x", "linux/riscv64", "linux/386"} {
		t.Run(target, func(t *testing.T) {
			Compiles(t, target, portable...)
			if *build {
				goos, goarch, _ := strings.Cut(target, "/")
				env := []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}
				goCommand(t, moduleRoot(t), env, append([]string{"build"}, portable...)...)
			}
		})
	}
}

// What the compiler refuses on one system only is found, with its place.
func TestWhatDoesNotCompileIsFound(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.org/p\n\ngo 1.26\n"), 0o644))
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("package p\n"+text), 0o644))
	}
	write("all.go", "import \"os\"\n\nvar _ = os.Getpid\n\nfunc useful() int { return system }\n")
	write("system_linux.go", "const system = 1\n")
	write("wide_386.go", "const wide int = 1 << 31\n")
	write("bare_arm64.go", "func bare()\n")
	write("unused_s390x.go", "import \"fmt\"\n")
	for target, want := range map[string]string{
		"linux/amd64":   "",
		"windows/amd64": "all.go:6:28: undefined: system",
		"linux/386":     "wide_386.go:2:18: cannot use 1 << 31 (untyped int constant 2147483648) as int value in constant declaration (overflows)",
		"linux/arm64":   "bare_arm64.go:2:1: func bare: missing body (the package has no assembly for linux/arm64)",
		"linux/s390x":   `unused_s390x.go:2:8: "fmt" imported and not used`,
		"linux/vax":     `unknown architecture "vax"`,
	} {
		t.Run(target, func(t *testing.T) {
			errs := compile(t, dir, target, []string{"."})
			if want == "" {
				require.Empty(t, errs)
				return
			}
			require.Len(t, errs, 1)
			require.ErrorContains(t, errs[0], want)
		})
	}
}
