// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir string
	Standard        bool
	Module          *struct {
		Main      bool
		GoVersion string
	}
	GoFiles, SFiles []string
	Imports         []string
	ImportMap       map[string]string
	Error           *struct{ Err string }
}

// ours reports whether a package is of the module that go list ran in.
func (p *listed) ours() bool { return p.Module != nil && p.Module.Main }

// Compiles fails the test when a package does not compile for a system and an
// architecture, as in "linux/arm64". Packages are as go list takes them, from
// the module's root. The sources of the packages and of all that they import
// are parsed and type checked, which finds what the compiler would refuse at a
// twentieth of its cost: no code is generated. (make cross builds them.)
func Compiles(tb testing.TB, target string, pkgs ...string) {
	tb.Helper()
	for _, err := range compile(tb, moduleRoot(tb), target, pkgs) {
		tb.Errorf("%s: %v", target, err)
	}
}

func compile(tb testing.TB, dir, target string, pkgs []string) (errs []error) {
	tb.Helper()
	goos, goarch, _ := strings.Cut(target, "/")
	sizes := types.SizesFor("gc", goarch)
	if sizes == nil {
		return []error{fmt.Errorf("unknown architecture %q", goarch)}
	}
	env := []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0"}
	out := goCommand(tb, dir, env, append([]string{"list", "-deps", "-json=" +
		"ImportPath,Dir,Standard,Module,GoFiles,SFiles,Imports,ImportMap,Error"}, pkgs...)...)
	checked := map[string]*types.Package{"unsafe": types.Unsafe}
	fset := token.NewFileSet()
	for dec := json.NewDecoder(bytes.NewReader(out)); ; { // what is imported comes first
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return errs
		} else if err != nil {
			return append(errs, fmt.Errorf("go list: %w", err))
		}
		if p.ImportPath == "unsafe" {
			continue
		}
		report := func(err error) {
			if p.ours() { // of other modules we see what we use
				errs = append(errs, err)
			}
		}
		var files []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				report(err)
				continue
			}
			files = append(files, f)
			for _, d := range f.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Body == nil && len(p.SFiles) == 0 {
					report(fmt.Errorf("%v: func %s: missing body (the package has no assembly for %s)", fset.Position(f.Pos()), f.Name.Name, target))
				}
			}
		}
		config := types.Config{
			IgnoreFuncBodies: !p.ours(),
			Sizes:            sizes,
			Error:            report,
			Importer: importer(func(path string) (*types.Package, error) {
				if mapped, ok := p.ImportMap[path]; ok {
					path = mapped
				}
				if pkg := checked[path]; pkg != nil {
					return pkg, nil
				}
				return nil, fmt.Errorf("package %s is not available", path)
			}),
		}
		if p.Module != nil && p.Module.GoVersion != "" {
			config.GoVersion = "go" + p.Module.GoVersion
		}
		checked[p.ImportPath], _ = config.Check(p.ImportPath, fset, files, nil) // each error was reported
	}
}

type importer func(path string) (*types.Package, error)

func (f importer) Import(path string) (*types.Package, error) { return f(path) }

// moduleRoot returns the root directory of the module that the test is in.
func moduleRoot(tb testing.TB) string {
	tb.Helper()
	return filepath.Dir(strings.TrimSpace(string(goCommand(tb, ".", nil, "env", "GOMOD"))))
}

// goCommand runs the go command in a directory and returns what it prints.
func goCommand(tb testing.TB, dir string, env []string, args ...string) []byte {
	tb.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		tb.Skip("needs the go command: " + err.Error())
	}
	cmd := exec.CommandContext(tb.Context(), goTool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		tb.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, failed.Stderr)
	} else if err != nil {
		tb.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return out
}
