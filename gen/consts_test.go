// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/proc"
	"github.com/scaplab/scaplab/tables"
)

// unixConsts returns the constants that x/sys/unix has on linux/arch, with the values of
// those written as plain numbers.
func unixConsts(tb testing.TB, arch string) (names map[string]bool, values map[string]uint64) {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	require.NoError(tb, err)
	dir := filepath.Join(strings.TrimSpace(string(out)), "unix")
	names, values = make(map[string]bool), make(map[string]uint64)
	files := []string{"zerrors_linux.go", "ztypes_linux.go", "syscall_linux.go", "ioctl_linux.go", "syscall_unix.go", "constants.go"}
	for _, stem := range []string{"zerrors_linux_", "ztypes_linux_"} {
		files = append(files, stem+arch+".go")
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, 0)
		require.NoError(tb, err)
		for _, d := range f.Decls {
			decl, ok := d.(*ast.GenDecl)
			if !ok || decl.Tok != token.CONST {
				continue
			}
			for _, s := range decl.Specs {
				spec := s.(*ast.ValueSpec)
				for i, id := range spec.Names {
					names[id.Name] = true
					if i < len(spec.Values) {
						if v, ok := plainNumber(spec.Values[i]); ok {
							values[id.Name] = v
						}
					}
				}
			}
		}
	}
	return names, values
}

func plainNumber(e ast.Expr) (uint64, bool) {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		v, ok := plainNumber(e.X)
		return -v, ok && e.Op == token.SUB
	case *ast.CallExpr: // syscall.Errno(0x1)
		if len(e.Args) == 1 {
			return plainNumber(e.Args[0])
		}
	case *ast.BasicLit:
		v, err := strconv.ParseUint(e.Value, 0, 64)
		return v, err == nil
	}
	return 0, false
}

// The native values of flags.yaml are those of the headers, on every architecture.
func TestNativesAreThoseOfTheHeaders(t *testing.T) {
	m, err := newModel(mustLoad(t, filepath.Join(root, "tables")))
	require.NoError(t, err)
	for _, arch := range tables.Arches {
		_, values := unixConsts(t, arch)
		checked := 0
		for name, n := range m.natives {
			want, ok := values[name]
			if !ok || tables.OnlyOf32Bit(name) {
				continue
			}
			got, ok := n.on(arch)
			if !ok {
				continue
			}
			checked++
			if int64(want) < 0 {
				want = uint64(uint32(want)) // an int
			}
			require.Equal(t, want, got, "%s on %s", name, arch)
		}
		require.Greater(t, checked, 300, arch)
	}
}

// Constants of cases that x/sys/unix does not have have a number on every architecture.
func TestConstantsOfCasesAreKnown(t *testing.T) {
	table := mustLoad(t, filepath.Join(root, "tables"))
	m, err := newModel(table)
	require.NoError(t, err)
	names := make(map[string]bool)
	for _, s := range table.Syscalls {
		for _, c := range append(slices.Clone(s.Cases), m.probeCases(s)...) {
			m.caseConsts(s, c, names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		require.NoError(t, m.knownConst(name))
		_, unix := tables.UnixConst(name)
		_, errno := table.Types.Errno(name)
		if unix || errno {
			continue
		}
		for _, arch := range tables.Arches {
			_, ok := m.natives[name].on(arch)
			require.True(t, ok, "%s on %s: give flags.yaml its native value", name, arch)
		}
	}
	require.EqualError(t, m.knownConst("O_RDWRR"), "unknown constant O_RDWRR in a case")
}

// The table names the kinds of descriptors that package proc has.
func TestFDTypesAreThoseOfPackageProc(t *testing.T) {
	want := map[string]uint64{}
	for k := proc.FDUnknown; k <= proc.FDPidfd; k++ {
		if _, ok := want[k.String()]; !ok { // the first of several kinds with one name
			want[k.String()] = uint64(k)
		}
	}
	got := map[string]uint64{}
	for _, w := range tables.DefaultTypes().FDTypes {
		got[w.Name] = w.Value
	}
	require.Equal(t, want, got)
}
