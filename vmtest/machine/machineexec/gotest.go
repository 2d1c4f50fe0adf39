// SPDX-License-Identifier: Apache-2.0

package machineexec

import (
	"path/filepath"
	"slices"
	"strings"
)

// goTestFiles are the flags of test programs that name a file to write.
var goTestFiles = []string{"blockprofile", "coverprofile", "cpuprofile", "memprofile", "mutexprofile", "testlogfile", "trace"}

// goTestDirs are those that name a directory to write into.
var goTestDirs = []string{"fuzzcachedir", "gocoverdir", "outputdir"}

// IsGoTest reports whether the arguments are those that `go test` gives to a test program.
func (c *Command) IsGoTest() bool {
	return slices.ContainsFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "-test.") })
}

// AddGoTest adds what a test program of `go test` works with, under the same paths: the working directory with all that is in
// it, such as testdata, goes in. The files that its flags name come out: profiles, coverage, its log.
func (c *Command) AddGoTest() {
	c.In = append(c.In, Copy{From: c.Dir, To: c.Dir, Skip: func(name string) bool { return name == ".git" }})
	outputs := c.Dir
	for _, a := range c.Args {
		if dir, ok := strings.CutPrefix(a, "-test.outputdir="); ok {
			outputs = within(c.Dir, dir)
		}
	}
	for _, a := range c.Args {
		flag, path, ok := strings.Cut(strings.TrimPrefix(a, "-test."), "=")
		switch {
		case !ok || !strings.HasPrefix(a, "-test.") || path == "":
		case flag == "testlogfile":
			c.out(within(c.Dir, path))
		case slices.Contains(goTestFiles, flag):
			c.out(within(outputs, path))
		case slices.Contains(goTestDirs, flag):
			dir := within(c.Dir, path)
			c.In = append(c.In, Copy{From: dir, To: dir, Optional: true}) // a directory that tests expect
			c.out(dir)
		}
	}
}

func (c *Command) out(path string) {
	c.Out = append(c.Out, Copy{From: path, To: path, Optional: true})
}

// within returns a path that is relative to dir unless it is absolute.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
