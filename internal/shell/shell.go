// SPDX-License-Identifier: Apache-2.0

// Package shell writes command lines that a user can paste.
package shell

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
)

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_-+=:,./"

// Word quotes a word when a shell would change it.
func Word(s string) string {
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// Command is how this program was called, for the same directory: `go run ./cmd/scaplab`
// when go run built it, since what go run builds is no place to run it from.
func Command() string {
	p := process{called: os.Args[0]}
	p.file, _ = os.Executable()
	p.dir, _ = os.Getwd()
	p.build, _ = debug.ReadBuildInfo() // nil: not built as a module
	command := p.command()
	if os.Getenv("SUDO_USER") != "" {
		return "sudo " + command
	}
	return command
}

// process is what is known of how a program was started.
type process struct {
	called string // argv[0]
	file   string // that is executed
	dir    string // working directory
	build  *debug.BuildInfo
}

func (p *process) command() string {
	if p.build != nil && goRun(p.file) {
		if pkg, ok := strings.CutPrefix(p.build.Path, p.build.Main.Path+"/"); ok {
			return "go run " + Word(p.packageName(pkg))
		}
	}
	if strings.ContainsRune(p.called, filepath.Separator) {
		return Word(p.called)
	}
	if found, err := exec.LookPath(p.called); err == nil && sameFile(found, p.file) {
		return Word(p.called)
	}
	return Word(p.file)
}

// cached is the directory of a program in go's build cache.
var cached = regexp.MustCompile(`^[0-9a-f]{64}-d$`)

// goRun reports whether go run built a program: go keeps it in a directory of the build,
// or in its cache.
func goRun(file string) bool {
	dir := filepath.Dir(file)
	base := filepath.Base(dir)
	return base == "exe" && strings.Contains(dir, "go-build") || cached.MatchString(base)
}

// packageName names a package of the program's module: by its directory when the working
// directory is inside the module, else with the version that runs.
func (p *process) packageName(pkg string) string {
	for root := p.dir; ; root = filepath.Dir(root) {
		if moduleOf(filepath.Join(root, "go.mod")) == p.build.Main.Path {
			if rel, err := filepath.Rel(p.dir, filepath.Join(root, filepath.FromSlash(pkg))); err == nil {
				if !strings.HasPrefix(rel, ".") {
					rel = "." + string(filepath.Separator) + rel
				}
				return rel
			}
		}
		if root == filepath.Dir(root) {
			break
		}
	}
	if v := p.build.Main.Version; v != "" && v != "(devel)" {
		return p.build.Path + "@" + v
	}
	return p.build.Path
}

// moduleOf returns the module that a go.mod is of; "" when there is no such file.
func moduleOf(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "module "); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

func sameFile(a, b string) bool {
	x, errA := os.Stat(a)
	y, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(x, y)
}
