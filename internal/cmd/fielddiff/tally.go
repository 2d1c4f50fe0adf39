// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// outcome is how a value or a filter compares.
type outcome uint8

const (
	agree outcome = iota
	meantTo
	differ
	outcomes
)

// tally counts what agrees. Several goroutines may use it.
type tally struct {
	mu      sync.Mutex
	byName  map[string]*count // what differs, by field or filter
	why     map[string]*meaning
	values  map[string]*[outcomes]int // by class of fields
	filters map[string]*[outcomes]int
	pairs   map[pair]*[outcomes]int // of filters
	tried   map[string]int          // how often first was called with a subject
}

// first reports whether this is one of the first n times that a subject is tried.
func (t *tally) first(subject string, n int) bool {
	t.tried[subject]++
	return t.tried[subject] <= n
}

// meaning is a difference that is meant.
type meaning struct {
	n       int
	example string
}

func newTally() *tally {
	return &tally{byName: map[string]*count{}, why: map[string]*meaning{}, values: map[string]*[outcomes]int{}, filters: map[string]*[outcomes]int{},
		pairs: map[pair]*[outcomes]int{}, tried: map[string]int{}}
}

// maxShown is how many differences of a field are shown, one of each kind.
const maxShown = 8

type count struct {
	n     int
	shown []string
	kinds map[string]bool
}

// classOf returns the class of a field, or of the first field of a filter.
func classOf(name string) string {
	class, _, _ := strings.Cut(name, ".")
	return class
}

// valued notes the outcome of n values of a class.
func (t *tally) valued(class string, o outcome, n int) { t.add(t.values, class, o, n) }

// filtered notes the outcome of a filter.
func (t *tally) filtered(p probe, o outcome) {
	t.add(t.filters, p.class, o, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pairs[p.pair] == nil {
		t.pairs[p.pair] = new([outcomes]int)
	}
	t.pairs[p.pair][o]++
}

func (t *tally) add(to map[string]*[outcomes]int, class string, o outcome, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if to[class] == nil {
		to[class] = new([outcomes]int)
	}
	to[class][o] += n
}

// means notes a value that differs as meant.
func (t *tally) means(why string, example func() string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why[why] == nil {
		t.why[why] = &meaning{example: example()}
	}
	t.why[why].n++
}

// merge adds what another tally, which nobody else uses, has.
func (t *tally) merge(o *tally) {
	for class, n := range o.values {
		for k := range n {
			t.valued(class, outcome(k), n[k])
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for why, m := range o.why {
		if t.why[why] == nil {
			t.why[why] = &meaning{example: m.example}
		}
		t.why[why].n += m.n
	}
	for name, n := range o.byName {
		sum := t.byName[name]
		if sum == nil {
			sum = &count{kinds: map[string]bool{}}
			t.byName[name] = sum
		}
		sum.n += n.n
		sum.shown = append(sum.shown, n.shown[:min(len(n.shown), maxShown-min(len(sum.shown), maxShown))]...)
		maps.Copy(sum.kinds, n.kinds)
	}
}

// differs notes a difference; kind is what several of them have in common.
func (t *tally) differs(name, kind, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byName[name]
	if n == nil {
		n = &count{kinds: map[string]bool{}}
		t.byName[name] = n
	}
	n.n++
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
		fmt.Printf("%s: %d differ\n", name, n.n)
		for _, what := range n.shown {
			fmt.Println("    " + what)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(t.why)) {
		fmt.Printf("%6d as meant: %s\n           %s\n", t.why[why].n, why, t.why[why].example)
	}
	for _, why := range reasons() {
		if t.why[why] == nil {
			fmt.Printf("     0 as meant: %s\n", why)
		}
	}
	printCounts("values of fields", t.values)
	printCounts("filters", t.filters)
	t.printPairs()
	return len(t.byName) == 0
}

func printCounts(what string, by map[string]*[outcomes]int) {
	row := func(class string, n [outcomes]int) {
		fmt.Printf("%-18s %9d %9d %9d\n", class, n[agree], n[meantTo], n[differ])
	}
	fmt.Printf("%-18s %9s %9s %9s\n", what, "agree", "as meant", "differ")
	var sum [outcomes]int
	for _, class := range slices.Sorted(maps.Keys(by)) {
		for o, n := range by[class] {
			sum[o] += n
		}
		row("  "+class, *by[class])
	}
	row("  all", sum)
}

// printPairs prints how many pairs of an operator and a type were compared, and which
// were not.
func (t *tally) printPairs() {
	if len(t.filters) == 0 {
		return
	}
	var without, refused []string
	all := pairs()
	for p := range all {
		switch n := t.pairs[p]; {
		case n == nil:
			without = append(without, p.op+" of "+p.kind)
		case n[agree] == 0:
			refused = append(refused, p.op+" of "+p.kind)
		}
	}
	fmt.Printf("pairs of an operator and a type: %d, of which a filter agrees for %d\n", len(all), len(all)-len(without)-len(refused))
	for _, list := range []struct {
		what  string
		pairs []string
	}{{"no filter", without}, {"no filter that agrees", refused}} {
		slices.Sort(list.pairs)
		if len(list.pairs) > 0 {
			fmt.Printf("  %s: %s\n", list.what, strings.Join(list.pairs, ", "))
		}
	}
}
