// SPDX-License-Identifier: Apache-2.0

package tables

import (
	_ "embed"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// unixText has the integer constants of golang.org/x/sys/unix that linux has on every architecture
// of the table, sorted: the name and its value, or its values in the order of Arches. A test
// writes it.
//
//go:embed unix.txt
var unixText string

// unixConst is the text of the values of a constant.
type unixConst string

var unixConsts = sync.OnceValue(func() map[string]unixConst {
	all := map[string]unixConst{}
	for line := range strings.Lines(unixText) {
		name, values, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[name] = unixConst(values)
	}
	return all
})

// on returns the value on an architecture, negative ones in two's complement.
func (c unixConst) on(arch string) uint64 {
	values := strings.Fields(string(c))
	value := values[0]
	if len(values) > 1 {
		value = values[slices.Index(Arches, arch)]
	}
	if v, err := strconv.ParseUint(value, 10, 64); err == nil {
		return v
	}
	v, _ := strconv.ParseInt(value, 10, 64) // the test has written it
	return uint64(v)
}

// UnixConst reports whether x/sys/unix has a constant, and whether it is too
// large for an int.
func UnixConst(name string) (large, ok bool) {
	c, ok := unixConsts()[name]
	return ok && c[0] != '-' && c.on(Arches[0]) > math.MaxInt64, ok
}

// OnlyOf32Bit reports whether headers give a constant another value in programs of 64 bits, whose
// off_t has 64 bits without it, than the kernel does.
func OnlyOf32Bit(name string) bool {
	switch name {
	case "O_LARGEFILE", "F_GETLK64", "F_SETLK64", "F_SETLKW64":
		return true
	}
	return false
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
