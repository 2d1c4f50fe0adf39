// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"
	"strings"
)

// EventOf returns the exit event that the lock has of a call, and the enter event if it has params; nil if there is none.
func (k *Lock) EventOf(call string) (exit, enter *Event) {
	if k == nil {
		return nil, nil
	}
	for _, code := range slices.Sorted(maps.Keys(k.events)) {
		ev := k.events[code]
		if ev.Source != "syscall" || ev.Name != call || slices.Contains(ev.Flags, "old_version") || slices.Contains(ev.Flags, "unused") {
			continue
		}
		if ev.Dir == "exit" {
			exit = ev
		} else if len(ev.Params) > 0 {
			enter = ev
		}
	}
	if exit == nil || enter != nil && enter.Code != exit.Code-1 {
		enter = nil
	}
	return exit, enter
}

// IsNumber reports whether a C type of an argument is a number that the table knows.
func IsNumber(ctype string) bool {
	_, ok := cTypeOf(ctype)
	return ok
}

// UnixConsts returns the constants of golang.org/x/sys/unix that begin with a prefix, and have one value on all architectures.
func UnixConsts(prefix string) (names []string) {
	for name, c := range unixConsts() {
		if strings.HasPrefix(name, prefix) && !strings.Contains(string(c), " ") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// UnixValue is the value of such a constant.
func UnixValue(name string) uint64 { return unixConsts()[name].on(Arches[0]) }
