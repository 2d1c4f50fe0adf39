// SPDX-License-Identifier: Apache-2.0

package tables

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// unixNames are the integer constants that golang.org/x/sys/unix has for linux on every
// architecture of the table, sorted; "u64" follows constants that do not fit an int. A
// test writes the file.
//
//go:embed unix.txt
var unixNames string

var unixConsts = sync.OnceValue(func() map[string]bool {
	large := map[string]bool{}
	for line := range strings.Lines(unixNames) {
		name, mark, _ := strings.Cut(strings.TrimSpace(line), " ")
		large[name] = mark != ""
	}
	return large
})

// UnixConst reports whether x/sys/unix has a constant, and whether it is too
// large for an int.
func UnixConst(name string) (large, ok bool) {
	large, ok = unixConsts()[name]
	return large, ok
}

func isUnixConst(name string) bool {
	_, ok := UnixConst(name)
	return ok
}

// callConstants returns the names that calls of cases may use, sorted.
func (l *loader) callConstants() []string {
	out := slices.Clone(l.constants())
	for name := range unixConsts() {
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
