// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// Level says whom a change of the schema concerns.
type Level uint8

const (
	Patch Level = iota + 1 // nobody: bytes, names and numbers of captures stay
	Minor                  // something is new: what was recorded before reads as before
	Major                  // what was recorded before reads as something else, or is not found by its name any more
)

func (l Level) String() string { return [...]string{"none", "patch", "minor", "major"}[l] }

// MarshalText writes the level's name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// SchemaChange is a difference between two schemas.
type SchemaChange struct {
	Level   Level    `json:"level"`
	Subject string   `json:"subject"` // what changed
	What    string   `json:"what"`
	Why     string   `json:"why"`  // the reason of the level
	Ours    bool     `json:"ours"` // it concerns events of our own only, so the reference's version says nothing of it
	Pos     expr.Pos `json:"-"`    // in the new schema; in the old one of what it lacks

	Event uint16 `json:"-"` // the event's code, of changes of events and params
	Param int    `json:"-"` // of a change of a param: its index in the old schema, or in the new one if it is new there; else -1
	Set   string `json:"-"` // the flag set, of changes of values
	Name  string `json:"-"` // of the value
}

// ReadLock reads a schema.lock.
func ReadLock(name string, src []byte) (*Lock, error) {
	l := &loader{table: &Table{Types: DefaultTypes()}}
	lock := l.parseLock(name, src)
	if len(l.errs) > 0 {
		return nil, l.errs.Sorted()
	}
	return lock, nil
}

// Text returns the text of the lock file.
func (k *Lock) Text() string { return k.text() }

// Reference returns the part that is the reference's: the events that it has, and what they use. It has no own version.
func (k *Lock) Reference() *Lock {
	out := *k
	out.Own = ""
	out.events = maps.Clone(k.events)
	maps.DeleteFunc(out.events, func(code uint16, _ *Event) bool { return code >= oursFrom })
	all, used := k.used(), out.used()
	out.types, out.dyns, out.values = maps.Clone(k.types), maps.Clone(k.dyns), maps.Clone(k.values)
	maps.DeleteFunc(out.types, func(name string, _ lockLine) bool { return all.types[name] && !used.types[name] })
	maps.DeleteFunc(out.dyns, func(name string, _ lockLine) bool { return all.dyns[name] && !used.dyns[name] })
	maps.DeleteFunc(out.values, func(set string, _ []lockedName) bool { return !used.sets[set] })
	return &out
}

// uses has the names of what params of events have.
type uses struct{ types, dyns, sets map[string]bool }

func (k *Lock) used() uses {
	u := uses{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	u.add(k, func(uint16) bool { return true })
	return u
}

// add adds what the chosen events of a lock use.
func (u *uses) add(k *Lock, chosen func(code uint16) bool) {
	for code, ev := range k.events {
		if !chosen(code) {
			continue
		}
		for _, p := range ev.Params {
			u.types[p.Type], u.dyns[p.Dyn], u.sets[p.Names] = true, true, true
		}
	}
}

// SchemaVersion returns the version of the reference's part that a lock states.
func (k *Lock) SchemaVersion() string {
	if len(k.Versions) == 0 {
		return ""
	}
	return k.Versions[0].Schema
}

// OwnVersion returns the version of the whole schema that a lock states. Older locks state none: 0.0.0.
func (k *Lock) OwnVersion() string { return cmp.Or(k.Own, "0.0.0") }

// VersionDemand is the version that a schema must have because of how it differs from an older one.
type VersionDemand struct {
	Old     string `json:"old"`     // version that the older schema states
	New     string `json:"new"`     // that the newer one states
	Level   Level  `json:"level"`   // the highest of the changes
	Demands string `json:"demands"` // the lowest version that the newer one may have
}

// Met reports whether the version that the newer schema states is as high as it must be.
func (d *VersionDemand) Met() bool {
	x, err := parseSchemaVersion(d.New)
	y, err2 := parseSchemaVersion(d.Demands)
	return err == nil && err2 == nil && slices.Compare(x[:], y[:]) >= 0
}

// DemandedVersions returns the versions that a schema must have which differs from an older one by these changes: of the
// whole, which all changes concern, and of the reference's part.
func DemandedVersions(old, now *Lock, changes []SchemaChange) (own, reference VersionDemand, err error) {
	own = VersionDemand{Old: old.OwnVersion(), New: now.OwnVersion()}
	reference = VersionDemand{Old: old.SchemaVersion(), New: now.SchemaVersion()}
	for _, c := range changes {
		own.Level = max(own.Level, c.Level)
		if !c.Ours {
			reference.Level = max(reference.Level, c.Level)
		}
	}
	var err2 error
	own.Demands, err = NextVersion(own.Old, own.Level)
	reference.Demands, err2 = NextVersion(reference.Old, reference.Level)
	return own, reference, cmp.Or(err, err2)
}

// NextVersion returns the version that a schema must have which differs from one of the old version by changes
// of at most this level.
func NextVersion(old string, level Level) (string, error) {
	n, err := parseSchemaVersion(old)
	if err != nil {
		return "", err
	}
	switch level {
	case Major:
		n = [3]int{n[0] + 1, 0, 0}
	case Minor:
		n = [3]int{n[0], n[1] + 1, 0}
	case Patch:
		n[2]++
	}
	return fmt.Sprintf("%d.%d.%d", n[0], n[1], n[2]), nil
}

func parseSchemaVersion(text string) (n [3]int, err error) {
	parts := strings.Split(text, ".")
	if len(parts) != len(n) {
		return n, fmt.Errorf("version %q: want MAJOR.MINOR.PATCH", text)
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil || p != strconv.FormatUint(v, 10) {
			return n, fmt.Errorf("version %q: want MAJOR.MINOR.PATCH", text)
		}
		n[i] = int(v)
	}
	return n, nil
}

// DiffSchemas returns how a schema differs from an older one, by subject.
func DiffSchemas(old, now *Lock) []SchemaChange {
	d := &schemaDiff{old: old, now: now, reference: uses{map[string]bool{}, map[string]bool{}, map[string]bool{}}}
	for _, k := range []*Lock{old, now} {
		d.reference.add(k, func(code uint16) bool { return code < oursFrom })
	}
	d.types()
	d.dyns()
	for _, code := range union(old.events, now.events) {
		d.event(old.events[code], now.events[code])
	}
	d.values()
	for _, code := range union(old.ids, now.ids) {
		d.id(code)
	}
	return d.changes
}

type schemaDiff struct {
	old, now  *Lock
	reference uses // what the reference's events have, in either
	changes   []SchemaChange
}

// union returns the keys of both, in order.
func union[K uint16 | string, V any](a, b map[K]V) []K {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (d *schemaDiff) add(c SchemaChange, level Level, what, why string) {
	c.Level, c.What, c.Why = level, what, why
	d.changes = append(d.changes, c)
}

func (d *schemaDiff) types() {
	used := d.old.used().types
	for _, name := range union(d.old.types, d.now.types) {
		was, before := d.old.types[name]
		is, after := d.now.types[name]
		c := SchemaChange{Subject: "type " + name, Pos: is.pos, Param: -1, Ours: !d.reference.types[name]}
		switch {
		case !before:
			d.add(c, Patch, "new", "no event had it")
		case after && was.text == is.text:
		case !used[name]:
			c.Pos = was.pos
			d.add(c, Patch, "changed or gone", "no event had it")
		case !after:
			c.Pos = was.pos
			d.add(c, Major, "gone", "params of older captures have it")
		default:
			d.add(c, Major, fmt.Sprintf("%s bytes, was %s", is.text, was.text), "values of older captures have another length")
		}
	}
}

func (d *schemaDiff) dyns() {
	for _, name := range union(d.old.dyns, d.now.dyns) {
		was, before := d.old.dyns[name]
		is, after := d.now.dyns[name]
		c := SchemaChange{Subject: "dyn " + name, Pos: is.pos, Param: -1, Ours: !d.reference.dyns[name]}
		switch {
		case !before:
			d.add(c, Patch, "new", "no event had it")
		case !after:
			c.Pos = was.pos
			d.add(c, Major, "gone", "params of older captures have it")
		case was.text == is.text:
		case strings.HasPrefix(is.text, was.text+" "):
			d.add(c, Minor, "variants are new: "+strings.TrimPrefix(is.text, was.text+" "), "older captures have none of them")
		default:
			d.add(c, Major, fmt.Sprintf("variants are %s, were %s", is.text, was.text), "the first byte of older values means another type")
		}
	}
}

func (d *schemaDiff) event(was, is *Event) {
	switch {
	case was == nil:
		d.add(SchemaChange{Subject: eventSubject(is), Pos: is.Pos, Event: is.Code, Param: -1, Ours: is.Code >= oursFrom}, Minor, "new", "older captures do not have it")
		return
	case is == nil:
		d.add(SchemaChange{Subject: eventSubject(was), Pos: was.Pos, Event: was.Code, Param: -1, Ours: was.Code >= oursFrom}, Major, "gone", "older captures have it")
		return
	}
	c := SchemaChange{Subject: eventSubject(was), Pos: is.Pos, Event: is.Code, Param: -1, Ours: is.Code >= oursFrom}
	differ := func(what, a, b string, level Level, why string) {
		if a != b {
			d.add(c, level, fmt.Sprintf("%s is %s, was %s", what, b, a), why)
		}
	}
	differ("name", was.Name, is.Name, Major, "filters name it")
	differ("symbol", was.Symbol, is.Symbol, Patch, "captures have the code")
	differ("class", was.Class, is.Class, Major, "evt.category of older captures is another")
	differ("source", was.Source, is.Source, Major, "evt.source of older captures is another")
	a, b := lockFlags(was), lockFlags(is)
	switch unused := slices.Contains(is.Flags, "unused"); {
	case a == b:
	case unused && !slices.Contains(was.Flags, "unused"):
		d.add(c, Major, "unused", "readers leave it out")
	default:
		differ("flags", a, b, Patch, "they describe the call, not its bytes")
	}
	d.params(c, was, is)
}

func eventSubject(ev *Event) string { return "event " + CodeText(ev.Code) + " " + ev.Symbol }

func (d *schemaDiff) params(c SchemaChange, was, is *Event) {
	event := c.Subject
	for i, p := range was.Params {
		c.Subject, c.Param = event+" "+p.Name, i
		if i >= len(is.Params) {
			c.Pos = p.Pos
			d.add(c, Major, "gone", "older captures have it")
			continue
		}
		q := is.Params[i]
		c.Pos = q.Pos
		if p.Name != q.Name {
			what := "is " + q.Name
			if slices.ContainsFunc(is.Params, func(x *Param) bool { return x.Name == p.Name }) {
				what = "another param is in its place: " + q.Name
			}
			d.add(c, Major, what, "filters name it, and captures have params by their order")
			continue
		}
		switch {
		case p.Type != q.Type:
			d.add(c, Major, fmt.Sprintf("type is %s, was %s", q.Type, p.Type), "values of older captures are read as another type")
		case p.Dyn != q.Dyn:
			d.add(c, Major, fmt.Sprintf("dyn table is %s, was %s", q.Dyn, p.Dyn), "the first byte of older values means another type")
		case p.Base != q.Base:
			d.add(c, Major, fmt.Sprintf("relative to %s, was to %s", q.Base, p.Base), "older paths have another directory")
		case p.Names != q.Names && !d.keepsNames(p.Names, q.Names):
			d.add(c, Major, fmt.Sprintf("flag set is %s, was %s", q.Names, p.Names), "values of older captures have other names")
		case p.Names != q.Names:
			d.add(c, Minor, fmt.Sprintf("flag set is %s, was %s", q.Names, p.Names), "it has the names of the other")
		}
		if p.Show != q.Show {
			d.add(c, Patch, fmt.Sprintf("printed as %s, was as %s", q.Show, p.Show), "the value is the same")
		}
	}
	for i := len(was.Params); i < len(is.Params); i++ {
		p := is.Params[i]
		c.Subject, c.Param, c.Pos = event+" "+p.Name, i, p.Pos
		d.add(c, Minor, "new", "after those of older captures, which do not have it")
	}
}

// keepsNames reports whether a set of the new schema has all of one of the old schema.
func (d *schemaDiff) keepsNames(old, now string) bool {
	has := map[lockedName]bool{}
	for _, v := range d.now.values[now] {
		has[lockedName{name: v.name, value: v.value}] = true
	}
	return !slices.ContainsFunc(d.old.values[old], func(v lockedName) bool { return !has[lockedName{name: v.name, value: v.value}] })
}

func (d *schemaDiff) values() {
	used := d.old.used().sets
	for _, set := range union(d.old.values, d.now.values) {
		now := map[string]lockedName{}
		for _, v := range d.now.values[set] {
			now[v.name] = v
		}
		before := map[string]bool{}
		for _, v := range d.old.values[set] {
			before[v.name] = true
			is, ok := now[v.name]
			c := SchemaChange{Subject: "value " + set + " " + v.name, Pos: v.pos, Param: -1, Set: set, Name: v.name, Ours: !d.reference.sets[set]}
			level, why := Major, "older captures have the number"
			if !used[set] {
				level, why = Patch, "no event had it"
			}
			switch {
			case !ok:
				d.add(c, level, "gone", why)
			case is.value != v.value:
				c.Pos = is.pos
				d.add(c, level, fmt.Sprintf("%#x, was %#x", is.value, v.value), why)
			}
		}
		for _, v := range d.now.values[set] {
			if !before[v.name] {
				d.add(SchemaChange{Subject: "value " + set + " " + v.name, Pos: v.pos, Param: -1, Set: set, Name: v.name, Ours: !d.reference.sets[set]}, Minor,
					fmt.Sprintf("new, %#x", v.value), "older captures have the number at most")
			}
		}
	}
}

func (d *schemaDiff) id(code uint16) {
	was, before := d.old.ids[code]
	is, after := d.now.ids[code]
	c := SchemaChange{Subject: fmt.Sprintf("id %d %s", code, is.name), Pos: is.pos, Param: -1}
	switch {
	case !before:
		d.add(c, Minor, "new", "older captures have no event of it")
	case !after:
		c.Subject, c.Pos = fmt.Sprintf("id %d %s", code, was.name), was.pos
		d.add(c, Major, "gone", "generic events of older captures have it")
	case was.name != is.name:
		d.add(c, Major, "was "+was.name, "generic events of older captures are of that call")
	}
}
