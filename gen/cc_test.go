// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/tables"
)

// cc returns a C compiler.
func cc(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{"clang-19", "clang", "cc", "gcc"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	tb.Skip("no C compiler: the eBPF and module builds compile the same text")
	return ""
}

const cTypes = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64;
typedef signed char s8; typedef short s16; typedef int s32; typedef long long s64;
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
`

func mustRun(tb testing.TB, name string, args ...string) []byte {
	tb.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(tb, err, "%s %s\n%s", name, strings.Join(args, " "), stderr.String())
	return out
}

// The conversions compute what the table says, on every architecture.
func TestConversionsDoWhatTheTableSays(t *testing.T) {
	testutil.SkipUnderRace(t)
	compiler := cc(t)
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	flags, err := m.flagsData(nil)
	require.NoError(t, err)
	text, err := execute("flags.h.tmpl", flags)
	require.NoError(t, err)
	dir := t.TempDir()
	var main strings.Builder
	fmt.Fprintf(&main, "#include <stdio.h>\n%s%s\nint main(void)\n{\n\tu64 v;\n\tint set;\n", cTypes, text)
	main.WriteString("\twhile (scanf(\"%d %llu\", &set, &v) == 2)\n\t\tswitch (set) {\n")
	sets := flags["Sets"].([]setData)
	for i, s := range sets {
		fmt.Fprintf(&main, "\t\tcase %d: printf(\"%%llu\\n\", (u64)%s(v)); break;\n", i, s.Name)
	}
	main.WriteString("\t\t}\n\treturn 0;\n}\n")
	source := filepath.Join(dir, "main.c")
	require.NoError(t, os.WriteFile(source, []byte(main.String()), 0o644))

	for _, arch := range tables.Arches {
		t.Run(arch, func(t *testing.T) {
			binary := filepath.Join(dir, arch)
			mustRun(t, compiler, "-O1", "-Wall", "-Werror", "-Wno-unused-function", "-D"+tables.ArchOf(arch).Macro(), "-o", binary, source)
			var in bytes.Buffer
			var want []string
			var what []string
			rng := rand.New(rand.NewPCG(1, 2))
			for i, s := range sets {
				set := m.sets[s.Name]
				for _, v := range inputs(set, arch, rng) {
					got, ok := convert(set, arch, v)
					require.True(t, ok, s.Name)
					fmt.Fprintf(&in, "%d %d\n", i, v)
					want = append(want, fmt.Sprint(got))
					what = append(what, fmt.Sprintf("%s(%#x)", s.Name, v))
				}
			}
			cmd := exec.Command(binary)
			cmd.Stdin = &in
			out, err := cmd.Output()
			require.NoError(t, err)
			n := 0
			for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); n++ {
				require.Equal(t, want[n], sc.Text(), what[n])
			}
			require.Len(t, want, n)
		})
	}
}

// inputs returns each native value and its neighbours, all of them together, and noise.
func inputs(s *tables.FlagSet, arch string, rng *rand.Rand) []uint64 {
	list := []uint64{0, 1, ^uint64(0), 1<<32 - 1, 1 << 31, 1 << 32}
	var all uint64
	for _, v := range s.Values {
		var n uint64
		if nat, ok := nativeOf(v); !ok {
			continue
		} else if n, ok = nat.on(arch); !ok {
			continue
		}
		list = append(list, n, n-1, n+1, n|1<<40)
		all |= n
	}
	list = append(list, all)
	for range 200 {
		list = append(list, rng.Uint64()&all, rng.Uint64())
	}
	return list
}

// The fillers compile, and call helpers with the arguments of their declarations.
func TestFillersCompile(t *testing.T) {
	testutil.SkipUnderRace(t)
	compiler := cc(t)
	table := mustLoad(t, filepath.Join(root, "tables"))
	files := mustFiles(t, table)
	m, err := newModel(table)
	require.NoError(t, err)
	dir := t.TempDir()
	var main strings.Builder
	main.WriteString(cTypes + "struct filler { s64 ret; u64 arg[6]; };\n")
	pushes := make(map[string]string)
	for _, typ := range []string{"u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"} {
		pushes["push_"+typ] = "struct filler *f, " + typ
		pushes["push_dyn_"+typ] = "struct filler *f, u8, " + typ
	}
	pushes["push_empty"], pushes["push_str_lit_empty"] = "struct filler *f", "struct filler *f"
	pushes["push_user_str"], pushes["push_dyn_user_str"] = "struct filler *f, u64", "struct filler *f, u8, u64"
	pushes["push_user_buf"], pushes["push_dyn_user_buf"] = "struct filler *f, u64, u64, u32", "struct filler *f, u8, u64, u64, u32"
	pushes["push_user_data"], pushes["push_sockaddr"] = "struct filler *f, u64, u64, s64, u32", "struct filler *f, u64, u64"
	for _, name := range slices.Sorted(maps.Keys(m.helpers)) {
		h := m.helpers[name]
		params := slices.Repeat([]string{"u64"}, len(h.Args))
		if h.Rest {
			params = append(params, "u32")
		}
		if h.Filler || h.Kind == "param" {
			params = append([]string{"struct filler *f"}, params...)
		}
		if len(params) == 0 {
			params = []string{"void"}
		}
		if h.Kind == "param" {
			pushes["push_"+name] = strings.Join(params, ", ")
		} else {
			fmt.Fprintf(&main, "u64 %s(%s);\n", name, strings.Join(params, ", "))
		}
	}
	for _, s := range slices.Sorted(maps.Keys(m.sets)) {
		if m.sets[s].Kind == "manual" && m.helpers[s] == nil {
			fmt.Fprintf(&main, "u64 %s(u64);\n", s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pushes)) {
		fmt.Fprintf(&main, "void %s(%s);\n", name, pushes[name])
	}
	for path, text := range files {
		if strings.HasPrefix(path, "driver/fillers/") {
			require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o644))
		}
	}
	main.WriteString("#define SCAP_SCHEMA 1\n")
	main.Write(files["driver/abi/events_gen.h"])
	main.WriteString("#include \"flags_gen.h\"\n#include \"all_gen.h\"\n")
	source := filepath.Join(dir, "main.c")
	require.NoError(t, os.WriteFile(source, []byte(main.String()), 0o644))
	for _, arch := range tables.Arches {
		mustRun(t, compiler, "-fsyntax-only", "-Wall", "-Werror", "-Wno-unused-function", "-D"+tables.ArchOf(arch).Macro(), "-I", dir, source)
	}
}

// C and Go pack device numbers alike.
func TestDeviceNumbersArePackedAlike(t *testing.T) {
	compiler := cc(t)
	dir := t.TempDir()
	header, err := filepath.Abs(filepath.Join(root, "driver", "fillers", "args.h"))
	require.NoError(t, err)
	main := "#include <stdio.h>\n" + cTypes + `
typedef _Bool bool;
struct filler { u8 ia32; };
#define AT_FDCWD_EVENT 0
#include "flags_gen.h"
#include "` + header + `"
int main(void)
{
	u32 major, minor;

	while (scanf("%u %u", &major, &minor) == 2)
		printf("%u %u\n", encode_dev(major << 20 | minor), new_encode_dev(major << 8 | (minor & 0xff) | (minor & ~0xffU) << 12));
	return 0;
}
`
	source, binary := filepath.Join(dir, "main.c"), filepath.Join(dir, "main")
	require.NoError(t, os.WriteFile(source, []byte(main), 0o644))
	mustRun(t, compiler, "-O1", "-w", "-I", filepath.Dir(header), "-o", binary, source)
	var in, want bytes.Buffer
	for _, major := range []uint32{0, 1, 8, 259, 4095} {
		for _, minor := range []uint32{0, 1, 255, 256, 0x12345, 0xfffff} {
			fmt.Fprintln(&in, major, minor)
			dev := abi.EncodeDev(major, minor)
			fmt.Fprintln(&want, dev, dev)
		}
	}
	cmd := exec.Command(binary)
	cmd.Stdin = &in
	out, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, want.String(), string(out))
}
