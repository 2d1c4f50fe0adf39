// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"errors"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// readLock reads the lock, if the table has one.
func (l *loader) readLock() {
	src, err := fs.ReadFile(l.fsys, LockFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		l.errs.Add(expr.Pos{File: path.Join(l.dir, LockFile), Line: 1, Col: 1}, "", "%s", err)
		l.broken = true
	default:
		before := len(l.errs)
		lock := l.parseLock(path.Join(l.dir, LockFile), src)
		l.checkLayout(lock, src)
		l.table.Lock = lock
		l.broken = l.broken || len(l.errs) > before
	}
}

// locked returns the lock's layout of a code, or nil.
func (l *loader) locked(code uint16) *Event {
	if l.table.Lock == nil {
		return nil
	}
	return l.table.Lock.events[code]
}

// lockedFlags returns the event flags of the reference, which entries do not write out.
func (l *loader) lockedFlags(code uint16) ([]string, bool) {
	if ev := l.locked(code); ev != nil && code < oursFrom {
		return slices.Clone(ev.Flags), true
	}
	return nil, false
}

// layouts adds the events that no entry describes: the lock has their layout.
func (l *loader) layouts() {
	if l.table.Lock == nil {
		return
	}
	for _, n := range slices.Sorted(maps.Keys(l.table.Lock.events)) {
		ev := l.table.Lock.events[n]
		_, code := l.codes[ev.Code]
		_, symbol := l.symbols[ev.Symbol]
		if code || symbol {
			continue
		}
		for _, p := range ev.Params {
			if p.Names != "" && l.sets[p.Names] == nil {
				l.errs.Add(p.Pos, ev.Name+": "+p.Name, "unknown flag set %s", p.Names)
			}
		}
		l.table.Events = append(l.table.Events, ev)
	}
}

// lockChecker compares the table with the lock. A disagreement is an error in the
// table; a new fact is added to the lock by `scaplab schema lock`.
type lockChecker struct {
	*loader
	k       *Lock
	symbols map[string]uint16
}

func (l *loader) checkLock() {
	if l.table.Lock == nil {
		return
	}
	c := &lockChecker{l, l.table.Lock, map[string]uint16{}}
	for code, ev := range c.k.events {
		c.symbols[ev.Symbol] = code
	}
	c.checkVersions()
	c.checkTypes()
	used := map[string]bool{}
	event := func(ev *Event) {
		if ev == nil {
			return
		}
		for _, p := range ev.Params {
			used[p.Names] = true
		}
		if ev != c.k.events[ev.Code] {
			c.checkEvent(ev)
		}
	}
	for _, s := range l.table.Syscalls {
		event(s.Exit)
		event(s.Enter)
	}
	for _, ev := range l.table.Events {
		event(ev)
	}
	for _, s := range l.table.Flags {
		if used[s.Name] || c.k.values[s.Name] != nil {
			c.checkValues(s)
		}
	}
	for _, set := range slices.Sorted(maps.Keys(c.k.values)) {
		if l.sets[set] == nil {
			c.errs.Add(c.k.values[set][0].pos, set, "flag set is missing from flags.yaml (sets of events are never removed)")
		}
	}
	c.checkIDs()
}

// missing reports a new fact, with the function that adds it to the lock.
func (c *lockChecker) missing(pos expr.Pos, subject, what string, add func(*Lock)) {
	c.table.Unlocked.Add(pos, subject, "%s is not in the lock yet (run scaplab schema lock)", what)
	c.table.toLock = append(c.table.toLock, add)
}

// checkVersions compares the reference's first version with its events: it has them all. The lock may lack some yet.
func (c *lockChecker) checkVersions() {
	top := func(codes ...uint16) int {
		if len(codes) == 0 {
			return 0
		}
		return int(slices.Max(codes)) + 1
	}
	if len(c.k.Versions) == 0 || c.k.Own == "" {
		c.errs.Add(expr.Pos{File: c.k.file, Line: 1, Col: 1}, "", "the lock has no version of its own, or none of the reference (lines own and version)")
		return
	}
	var codes []uint16
	for code := range c.k.events {
		if code < oursFrom {
			codes = append(codes, code)
		}
	}
	v := c.k.Versions[0]
	if events, ids := top(codes...), top(slices.Collect(maps.Keys(c.k.ids))...); int(v.Codes) < events || int(v.IDs) < ids {
		c.errs.Add(v.pos, "version "+v.API, "codes of events and syscalls end at %d and %d (those of the lock at %d and %d: a version that has them is needed)", v.Codes, v.IDs, events, ids)
	}
	for _, old := range c.k.Versions[1:] {
		if old.Codes == 0 || old.Codes > v.Codes || old.IDs == 0 || old.IDs > v.IDs {
			c.errs.Add(old.pos, "version "+old.API, "codes of events and syscalls end at %d and %d (want 1 to %d and 1 to %d)", old.Codes, old.IDs, v.Codes, v.IDs)
		}
	}
}

func last(file string) expr.Pos { return expr.Pos{File: file, Line: math.MaxInt} }

func (c *lockChecker) checkTypes() {
	for _, t := range c.table.Types.Types {
		old, ok := c.k.types[t.Name]
		if !ok {
			c.missing(t.Pos, t.Name, "type "+t.Name, func(k *Lock) { k.types[t.Name] = lockLine{last(k.file), lockSize(t)} })
		} else if size := lockSize(t); size != old.text {
			c.errs.Add(t.Pos, t.Name, "type has %s bytes (%s in %s)", size, old.text, LockFile)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.k.types)) {
		if c.typ(name) == nil {
			c.errs.Add(c.k.types[name].pos, name, "type is missing from types.yaml (types are never removed)")
		}
	}
	for _, d := range c.table.Types.Dyns {
		old, ok := c.k.dyns[d.Name]
		now := lockVariants(d)
		add := func(k *Lock) { k.dyns[d.Name] = lockLine{old.pos, now} }
		switch {
		case !ok:
			c.missing(d.Pos, d.Name, "dyn table "+d.Name, func(k *Lock) { k.dyns[d.Name] = lockLine{last(k.file), now} })
		case now == old.text:
		case strings.HasPrefix(now, old.text+" "):
			c.missing(d.Pos, d.Name, "a variant of dyn table "+d.Name, add)
		default:
			c.errs.Add(d.Pos, d.Name, "variants are %s (%s in %s)", now, old.text, LockFile)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.k.dyns)) {
		if c.table.Types.Dyn(name) == nil {
			c.errs.Add(c.k.dyns[name].pos, name, "dyn table is missing from types.yaml (tables are never removed)")
		}
	}
}

func (c *lockChecker) checkEvent(ev *Event) {
	differ := func(what, got, want string) {
		if got != want {
			c.errs.Add(ev.codePos, ev.Name, "%s is %s (%s in %s)", what, got, want, LockFile)
		}
	}
	code, known := c.symbols[ev.Symbol]
	old := c.k.events[ev.Code]
	switch {
	case known && code != ev.Code:
		c.errs.Add(ev.codePos, ev.Name, "%s has code %s (%s in %s)", ev.Symbol, CodeText(ev.Code), CodeText(code), LockFile)
	case old == nil && ev.Code < oursFrom:
		c.errs.Add(ev.codePos, ev.Name, "code %d is not in %s (all of the reference's are; ours start at %#x)", ev.Code, LockFile, oursFrom)
	case old == nil:
		c.missing(ev.codePos, ev.Name, "event "+CodeText(ev.Code)+" "+ev.Symbol, func(k *Lock) { k.events[ev.Code] = c.toLock(ev) })
	case old.Symbol != ev.Symbol:
		c.errs.Add(ev.codePos, ev.Name, "code %s is %s in %s (codes are never reused; the next free one is %#x)", CodeText(ev.Code), old.Symbol,
			LockFile, c.table.NextCode())
	default:
		differ("name", ev.Name, old.Name)
		differ("class", ev.Class, old.Class)
		differ("source", ev.Source, old.Source)
		if ev.Code < oursFrom {
			differ("flags", lockFlags(ev), lockFlags(old))
		}
		c.checkParams(ev, old)
	}
}

func lockFlags(ev *Event) string {
	if len(ev.Flags) == 0 || ev.Code >= oursFrom { // flags of our own events follow from the entry, and may change with it
		return "-"
	}
	return strings.Join(ev.Flags, ",")
}

// toLock returns an event as the lock has it.
func (c *lockChecker) toLock(ev *Event) *Event {
	out := *ev
	out.Params = nil
	for _, p := range ev.Params {
		q := *p
		q.lock = c.lockText(p)
		out.Params = append(out.Params, &q)
	}
	return &out
}

func index(params []*Param, name string) int {
	return slices.IndexFunc(params, func(p *Param) bool { return p.Name == name })
}

func (c *lockChecker) checkParams(ev, old *Event) {
	if c.checkOrder(ev, old) {
		return
	}
	renamed := map[string]bool{}
	complete := true
	for i, want := range old.Params {
		j := index(ev.Params, want.Name)
		switch {
		case j >= 0:
			p := ev.Params[j]
			if got, locked := c.table.Types.lockType(p), c.table.Types.lockType(want); got != locked {
				c.errs.Add(p.typePos, ev.Name+": "+p.Name, "type is %s (%s in %s)", got, locked, LockFile)
			}
		case i < len(ev.Params) && index(old.Params, ev.Params[i].Name) < 0:
			p := ev.Params[i]
			renamed[p.Name] = true
			c.errs.Add(p.Pos, ev.Name+": "+p.Name, "param %s is %s in %s (params are never renamed)", p.Name, want.lock, LockFile)
		default:
			complete = false
			pos := ev.codePos
			if i < len(ev.Params) {
				pos = ev.Params[i].Pos
			}
			c.errs.Add(pos, ev.Name, "param %s is missing (params are never removed; %s has %s)", want.Name, LockFile, paramNames(old))
		}
	}
	for i, p := range ev.Params {
		subject := ev.Name + ": " + p.Name
		switch {
		case index(old.Params, p.Name) >= 0 || renamed[p.Name]:
		case !complete || i < len(old.Params):
			c.errs.Add(p.Pos, subject, "param %s is new, but not the last (%s has %s; new ones come last)", p.Name, LockFile, paramNames(old))
		case ev.Code < oursFrom:
			c.errs.Add(p.Pos, subject, "param %s is not the reference's (%s has %s; only our own events grow)", p.Name, LockFile, paramNames(old))
		default:
			c.missing(p.Pos, subject, "param "+p.Name, func(k *Lock) {
				now := c.toLock(ev)
				k.events[ev.Code].Params = append(k.events[ev.Code].Params, now.Params[i])
			})
		}
	}
}

// checkOrder reports params whose order differs from the lock's.
func (c *lockChecker) checkOrder(ev, old *Event) bool {
	at := -1
	for _, p := range ev.Params {
		i := index(old.Params, p.Name)
		if i < 0 {
			continue
		}
		if i < at {
			c.errs.Add(p.Pos, ev.Name+": "+p.Name, "params are in the order %s (%s has %s)", paramNames(ev), LockFile, paramNames(old))
			return true
		}
		at = i
	}
	return false
}

func paramNames(ev *Event) string {
	var out []string
	for _, p := range ev.Params {
		out = append(out, p.Name)
	}
	return strings.Join(out, ", ")
}

func (c *lockChecker) checkValues(s *FlagSet) {
	locked := c.k.values[s.Name]
	find := func(ok func(lockedName) bool) *lockedName {
		if i := slices.IndexFunc(locked, ok); i >= 0 {
			return &locked[i]
		}
		return nil
	}
	renamed := map[string]bool{}
	for _, v := range s.Values {
		old := find(func(n lockedName) bool { return n.name == v.Name })
		gone := find(func(n lockedName) bool { return n.value == v.Value && !s.has(n.name) })
		switch {
		case old != nil && old.value != v.Value:
			c.errs.Add(v.Pos, s.Name, "%s is %#x (%#x in %s)", v.Name, v.Value, old.value, LockFile)
		case old != nil:
		case gone != nil:
			renamed[gone.name] = true
			c.errs.Add(v.Pos, s.Name, "%s is called %s in %s (values are never renamed)", v.Name, gone.name, LockFile)
		default:
			c.missing(v.Pos, s.Name, "value "+v.Name, func(k *Lock) {
				k.values[s.Name] = append(k.values[s.Name], lockedName{name: v.Name, value: v.Value})
			})
		}
	}
	for _, n := range locked {
		if !s.has(n.name) && !renamed[n.name] {
			c.errs.Add(s.Pos, s.Name, "value %s is missing (%#x in %s; values are never removed)", n.name, n.value, LockFile)
		}
	}
}

func (c *lockChecker) checkIDs() {
	byName := map[string]uint16{}
	for code, n := range c.k.ids {
		byName[n.name] = code
	}
	seen := map[uint16]bool{}
	for _, id := range c.table.IDs {
		seen[id.Code] = true
		old, ok := c.k.ids[id.Code]
		code, known := byName[id.Name]
		switch {
		case known && code != id.Code:
			c.errs.Add(id.Pos, id.Name, "%s has id %d (%d in %s)", id.Name, id.Code, code, LockFile)
		case !ok:
			c.missing(id.Pos, id.Name, "id "+CodeText(id.Code), func(k *Lock) { k.ids[id.Code] = lockedName{name: id.Name} })
		case old.name != id.Name:
			c.errs.Add(id.Pos, id.Name, "id %d is %s in %s (ids are never reused)", id.Code, old.name, LockFile)
		}
	}
	for code, n := range c.k.ids {
		if !seen[code] {
			c.errs.Add(n.pos, n.name, "id %d is missing from ids.yaml (ids are never removed)", code)
		}
	}
}

// Relock returns the text of schema.lock with the new facts added. The existing lines
// do not change.
func (t *Table) Relock() []byte {
	for _, add := range t.toLock {
		add(t.Lock)
	}
	t.toLock, t.Unlocked = nil, nil
	return []byte(t.Lock.text())
}
