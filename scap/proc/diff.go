// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/scap/event"
)

// Change is one difference between two states.
type Change struct {
	What string // the item: "machine", "interface lo", "user 0", "group 0", "thread 12", "thread 12, fd 3"
	Name string // the field that differs; "" if one of the states does not have the item
	A, B any    // the values of the field, or the items; nil for the state that does not have the item
}

// String returns the change as text: the value in a, then the value in b.
func (c Change) String() string {
	switch {
	case c.A == nil:
		return c.What + ": only in the second state"
	case c.B == nil:
		return c.What + ": only in the first state"
	}
	return fmt.Sprintf("%s: %s: %s, then %s", c.What, c.Name, text(c.A), text(c.B))
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprint(v)
}

// Equal reports whether Diff finds no difference between a and b.
func Equal(a, b *State) bool { return len(Diff(a, b)) == 0 }

// Diff lists the differences between a and b field by field. It matches items by
// their key (a thread by its TID, a file by its number) and returns the changes in
// the order of the keys. The order of the lists does not matter, nor whether an empty
// list is nil. A nil state counts as an empty one.
//
// Some fields, such as VMSize, change all the time. without names the fields that
// Diff ignores: Diff(a, b, "VMSize", "PFMinor").
func Diff(a, b *State, without ...string) []Change {
	if a == nil {
		a = new(State)
	}
	if b == nil {
		b = new(State)
	}
	d := differ{without: append(without, "FDs")}
	d.fields("machine", reflect.ValueOf(a.Machine), reflect.ValueOf(b.Machine))
	diffLists(&d, a.Interfaces, b.Interfaces, func(i *Interface) string { return "interface " + i.Name + " " + i.Addr.String() }, strings.Compare)
	diffLists(&d, a.Users, b.Users, func(u *User) userKey { return userKey{u.UID, u.Name} }, userKey.compare)
	diffLists(&d, a.Groups, b.Groups, func(g *Group) groupKey { return groupKey{g.GID, g.Name} }, groupKey.compare)
	diffLists(&d, a.Threads, b.Threads, func(t *Thread) threadKey { return threadKey(t.TID) }, cmp.Compare[threadKey])
	return d.changes
}

// Several names may share an id, and several ids a name.
type (
	userKey struct {
		id   event.UID
		name string
	}
	groupKey struct {
		id   event.GID
		name string
	}
	threadKey event.PID
)

func (k userKey) compare(o userKey) int {
	return cmp.Or(cmp.Compare(k.id, o.id), cmp.Compare(k.name, o.name))
}
func (k groupKey) compare(o groupKey) int {
	return cmp.Or(cmp.Compare(k.id, o.id), cmp.Compare(k.name, o.name))
}

func (k userKey) String() string   { return fmt.Sprintf("user %d (%s)", k.id, k.name) }
func (k groupKey) String() string  { return fmt.Sprintf("group %d (%s)", k.id, k.name) }
func (k threadKey) String() string { return fmt.Sprintf("thread %d", event.PID(k)) }

type differ struct {
	without []string
	changes []Change
}

// diffLists compares two lists whose items have a key. Of items with the same key
// the last one counts, as for a reader that keeps a map.
func diffLists[T any, K comparable](d *differ, a, b []T, key func(*T) K, order func(K, K) int) {
	index := func(list []T) map[K]*T {
		m := make(map[K]*T, len(list))
		for i := range list {
			m[key(&list[i])] = &list[i]
		}
		return m
	}
	inA, inB := index(a), index(b)
	keys := make([]K, 0, len(inA))
	for k := range inA {
		keys = append(keys, k)
	}
	for k := range inB {
		if inA[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, order)
	for _, k := range keys {
		x, y, what := inA[k], inB[k], fmt.Sprint(k)
		switch {
		case x == nil:
			d.changes = append(d.changes, Change{What: what, B: *y})
		case y == nil:
			d.changes = append(d.changes, Change{What: what, A: *x})
		default:
			d.fields(what, reflect.ValueOf(*x), reflect.ValueOf(*y))
			if t, ok := any(x).(*Thread); ok {
				diffFDs(d, what, t.FDs, any(y).(*Thread).FDs)
			}
		}
	}
}

func diffFDs(d *differ, thread string, a, b []FD) {
	before := len(d.changes)
	diffLists(d, a, b, func(fd *FD) event.FD { return fd.Num }, cmp.Compare[event.FD])
	for i := before; i < len(d.changes); i++ {
		d.changes[i].What = thread + ", fd " + d.changes[i].What
	}
}

func (d *differ) fields(what string, a, b reflect.Value) {
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if slices.Contains(d.without, name) {
			continue
		}
		if x, y := a.Field(i).Interface(), b.Field(i).Interface(); x != y {
			d.changes = append(d.changes, Change{what, name, x, y})
		}
	}
}
