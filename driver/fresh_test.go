// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// The committed objects are compiled from the C source as it is now.
func TestObjectsAreFresh(t *testing.T) {
	testutil.SkipIfShort(t, "compiles the eBPF objects")
	for _, tool := range []string{"clang-19", "llvm-objcopy-19"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: only who changes C needs it (make bpf installs it)", tool)
		}
	}
	doc, err := os.ReadFile("bpf/doc.go")
	require.NoError(t, err)
	_, line, ok := strings.Cut(string(doc), "//go:generate go ")
	require.True(t, ok, "bpf/doc.go says how the objects are made")
	line, _, _ = strings.Cut(line, "\n")
	dir := t.TempDir()
	cmd := exec.Command("go", append(strings.Fields(line), "-o", dir)...)
	cmd.Dir = "bpf"
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	made := glob(t, dir)
	require.NotEmpty(t, made)
	require.Equal(t, made, glob(t, "bpf"), "an object for each source and architecture (make bpf)")
	for _, path := range made {
		want, err := os.ReadFile(filepath.Join(dir, path))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join("bpf", path))
		require.NoError(t, err)
		if !bytes.Equal(want, got) && !reflect.DeepEqual(parts(t, want), parts(t, got)) {
			t.Errorf("bpf/%s is stale (make bpf)", path)
		}
	}
}

// parts returns an object's sections, and instead of .BTF its types, with the forward declarations in an order of
// their own: clang orders those by their addresses in its memory, which differ with the length of the directory's name.
func parts(t *testing.T, object []byte) map[string][]string {
	file, err := elf.NewFile(bytes.NewReader(object))
	require.NoError(t, err)
	all := map[string][]string{}
	for _, s := range file.Sections {
		if s.Type == elf.SHT_NOBITS {
			all[s.Name] = []string{fmt.Sprint(s.Size)}
			continue
		}
		data, err := s.Data()
		require.NoError(t, err)
		if s.Name != ".BTF" {
			all[s.Name] = []string{string(data)}
		}
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(object))
	require.NoError(t, err)
	var types, forward []string
	address := regexp.MustCompile(`:[0-9a-f]{8,}`) // package btf prints where a type is in memory
	for typ, err := range spec.All() {
		require.NoError(t, err)
		text := address.ReplaceAllString(fmt.Sprintf("%+v", typ), "")
		if _, ok := typ.(*btf.Fwd); ok {
			forward = append(forward, text)
		} else {
			types = append(types, text)
		}
	}
	require.NotEmpty(t, types)
	slices.Sort(forward)
	all[".BTF"] = append(types, forward...)
	return all
}

// glob lists the objects under dir, as ARCH/NAME.o.
func glob(tb testing.TB, dir string) []string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.o"))
	require.NoError(tb, err)
	for i, path := range paths {
		paths[i], err = filepath.Rel(dir, path)
		require.NoError(tb, err)
	}
	return paths
}
