// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"flag"
	"go/ast"
	"go/build"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/testutil"
)

// The guest's Go code has every constant that lint accepts in a case: the list has the
// constants of the x/sys version in go.mod.
func TestTheListOfConstantsIsThatOfTheModule(t *testing.T) {
	testutil.SkipUnderRace(t)
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	require.NoError(t, err)
	dir := filepath.Join(strings.TrimSpace(string(out)), "unix")
	if build.Default.GOROOT == "" { // with -trimpath; the importer reads the standard library there
		root, err := exec.Command("go", "env", "GOROOT").Output()
		require.NoError(t, err)
		build.Default.GOROOT = strings.TrimSpace(string(root))
	}
	values := map[string][]string{}
	for _, arch := range Arches {
		for name, value := range constantsOf(t, dir, arch) {
			values[name] = append(values[name], value)
		}
	}
	maps.DeleteFunc(values, func(_ string, of []string) bool { return len(of) < len(Arches) })
	require.Greater(t, len(values), 3000)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		of := values[name]
		if len(slices.Compact(slices.Clone(of))) == 1 {
			of = of[:1]
		}
		b.WriteString(name + " " + strings.Join(of, " ") + "\n")
	}
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile("unix.txt", []byte(b.String()), 0o644))
		return
	}
	require.Equal(t, b.String(), unixText, "unix.txt is stale: go test -run '^%s$' . -update", t.Name())
}

var headerName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`) // other names are x/sys's own

// constantsOf returns the integer constants of a package for linux on arch, with their values.
func constantsOf(tb testing.TB, dir, arch string) map[string]string {
	tb.Helper()
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = "linux", arch, false
	pkg, err := ctx.ImportDir(dir, 0)
	require.NoError(tb, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		require.NoError(tb, err)
		files = append(files, f)
	}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil), IgnoreFuncBodies: true, Error: func(error) {}}
	checked, _ := conf.Check("unix", fset, files, nil) // with errors: declarations that the constants do not need are missing
	out := map[string]string{}
	for _, name := range checked.Scope().Names() {
		c, ok := checked.Scope().Lookup(name).(*types.Const)
		if !ok || c.Val().Kind() != constant.Int || !headerName.MatchString(name) || strings.HasPrefix(name, "SYS_") {
			continue
		}
		if basic, ok := c.Type().Underlying().(*types.Basic); !ok || basic.Info()&types.IsInteger == 0 {
			continue
		}
		out[name] = c.Val().ExactString()
	}
	return out
}
