// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
)

// tally counts what agrees, by field or filter.
type tally struct {
	byName map[string]*count
	why    map[string]int // values that differ as meant, by the reason
	values count
	probes count // filters
}

func newTally() *tally { return &tally{byName: map[string]*count{}, why: map[string]int{}} }

// maxShown is how many differences of a field are shown, one of each kind.
const maxShown = 8

type count struct {
	same, other int
	shown       []string
	kinds       map[string]bool
}

// differs notes a difference; kind is what several of them have in common.
func (t *tally) differs(name, kind, what string) {
	n := t.byName[name]
	if n == nil {
		n = &count{kinds: map[string]bool{}}
		t.byName[name] = n
	}
	n.other++
	if !n.kinds[kind] && len(n.shown) < maxShown {
		n.shown = append(n.shown, what)
	}
	n.kinds[kind] = true
}

// print prints what differs and how much agrees, and reports whether nothing differs
// but what is meant to.
func (t *tally) print() bool {
	for _, name := range slices.Sorted(maps.Keys(t.byName)) {
		n := t.byName[name]
		fmt.Printf("%s: %d differ\n", name, n.other)
		for _, what := range n.shown {
			fmt.Println("    " + what)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(t.why)) {
		fmt.Printf("%6d as meant: %s\n", t.why[why], why)
	}
	fmt.Printf("values of fields: %d agree, %d differ\n", t.values.same, t.values.other)
	fmt.Printf("filters: %d agree, %d differ\n", t.probes.same, t.probes.other)
	return len(t.byName) == 0
}
