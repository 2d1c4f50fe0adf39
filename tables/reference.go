// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/csource"
	"github.com/scaplab/scaplab/internal/expr"
)

// ReadReference reads the schema of a release of the reference from its sources: its driver, a tree with driver/, or an
// unpacked package of the module (usr/src/NAME). name begins the places, which are those in the C files. Events and flag
// sets that like has are called as there. The drivers' own table of events is read (event_table.c), with its sets of flags
// (flags_table.c), its dyn tables, the codes (ppm_events_public.h), and the versions (API_VERSION and SCHEMA_VERSION, or
// driver_config.h).
func ReadReference(name string, fsys fs.FS, like *Lock) (*Lock, error) {
	r := &referenceReader{name: name, fsys: fsys, like: like, types: DefaultTypes(), codes: map[string]uint16{}, arrays: map[string]*csource.Array{}, dynTables: map[string]bool{},
		lock: &Lock{types: map[string]lockLine{}, dyns: map[string]lockLine{}, events: map[uint16]*Event{}, values: map[string][]lockedName{}, ids: map[uint16]lockedName{}}}
	if err := r.find(); err != nil {
		return nil, err
	}
	for _, file := range []string{"ppm_events_public.h", "dynamic_params_table.c", "flags_table.c", eventTable} {
		text, err := fs.ReadFile(fsys, path.Join(r.driver, file))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := r.c.Read(path.Join(name, r.driver, file), text); err != nil {
			return nil, err
		}
	}
	for _, a := range r.c.Arrays {
		r.arrays[a.Name] = a
	}
	for _, read := range []func() error{r.enums, r.events, r.sets, r.dyns, r.version} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return r.lock, nil
}

const eventTable = "event_table.c"

// find finds the directory with the reference's table of events.
func (r *referenceReader) find() error {
	for _, pattern := range []string{"", "driver", "usr/src/*"} {
		found, err := fs.Glob(r.fsys, path.Join(pattern, eventTable))
		if err != nil {
			return err
		}
		if len(found) == 1 {
			r.driver = path.Dir(found[0])
			return nil
		}
	}
	return fmt.Errorf("%s has no driver of the reference (want %s in it, in driver/ or in usr/src/NAME/)", r.name, eventTable)
}

type referenceReader struct {
	name   string
	fsys   fs.FS
	driver string // directory in fsys
	c      csource.Source
	lock   *Lock
	like   *Lock
	types  *Types
	arrays map[string]*csource.Array

	codes     map[string]uint16 // PPME_NAME
	end, ends [2]uint16         // codes of events and syscalls: stated, and by the last
	flagSets  []flagParam       // of params
	dynTables map[string]bool
}

// flagParam is a param whose values have names.
type flagParam struct {
	param *Param
	array string
	ours  string // what like calls the set; "": it has no such param
	pos   expr.Pos
}

// notCalls are the tracepoints that have a code among those of syscalls.
var notCalls = []string{"SCHED_PROCESS_EXIT", "SCHED_SWITCH", "PAGE_FAULT_USER", "PAGE_FAULT_KERNEL", "SIGNAL_DELIVER"}

// enums reads the codes of events and syscalls, and the types.
func (r *referenceReader) enums() error {
	for _, e := range r.c.Enumerators {
		prefix, name, _ := strings.Cut(e.Name, "_")
		if prefix == "PPM" {
			prefix, name, _ = strings.Cut(name, "_")
			prefix = "PPM_" + prefix
		}
		small := e.Value >= 0 && e.Value < oursFrom
		code := uint16(e.Value)
		switch {
		case e.Name == "PPM_EVENT_MAX" && small:
			r.end[0] = code
		case e.Name == "PPM_SC_MAX" && small:
			r.end[1] = code
		case prefix == "PPME" && small:
			r.codes[e.Name] = code
			r.ends[0] = max(r.ends[0], code+1)
		case prefix == "PPM_SC" && small:
			if name != "UNKNOWN" && !slices.Contains(notCalls, name) {
				if old, ok := r.lock.ids[code]; ok {
					return csource.Errorf(e.Pos, "syscall code %d is %s already (line %d)", code, old.name, old.pos.Line)
				}
				r.lock.ids[code] = lockedName{pos: e.Pos, name: strings.ToLower(name)}
				r.ends[1] = max(r.ends[1], code+1)
			}
		case prefix == "PPME" || prefix == "PPM_SC":
			return csource.Errorf(e.Pos, "%s is %d (want a code below %#x)", e.Name, e.Value, oursFrom)
		case prefix == "PT" && name != "NONE" && name != "MAX":
			size := "-"
			if t := r.types.Type(strings.ToLower(name)); t != nil {
				size = lockSize(t) // which the sources do not state
			}
			r.lock.types[strings.ToLower(name)] = lockLine{pos: e.Pos, text: size}
		}
	}
	if len(r.codes) == 0 || len(r.lock.ids) == 0 || len(r.lock.types) == 0 {
		return errors.New("ppm_events_public.h has no codes of events (PPME_*), of syscalls (PPM_SC_*) or types (PT_*)")
	}
	return nil
}

// orNames returns the names that are or-ed in an initialiser, in lower case and without their prefix.
func orNames(i *csource.Init, prefix string) (out []string, err error) {
	for n, t := range i.Tokens {
		name, ok := strings.CutPrefix(t.Text, prefix)
		if n%2 == 1 && t.Text == "|" {
			continue
		}
		if n%2 == 1 || !ok {
			return nil, csource.Errorf(t.Pos, "unexpected %s (want %sNAME, or several with |)", t.Text, prefix)
		}
		out = append(out, strings.ToLower(name))
	}
	if len(out) == 0 {
		return nil, csource.Errorf(i.Pos, "%sNAME is missing", prefix)
	}
	return out, nil
}

func (r *referenceReader) events() error {
	table := r.arrays["g_event_info"]
	if table == nil {
		return errors.New("event_table.c has no g_event_info")
	}
	symbols := map[uint16]string{}
	for name, code := range r.codes {
		if old := symbols[code]; old != "" {
			return fmt.Errorf("event code %d is %s and %s", code, min(old, name), max(old, name))
		}
		symbols[code] = name
	}
	next := int64(0)
	for _, e := range table.Init.List {
		if e.Designator != nil {
			var err error
			if next, err = r.c.Eval(e.Designator); err != nil {
				return err
			}
		}
		code := uint16(next)
		if next < 0 || next >= oursFrom || symbols[code] == "" {
			return csource.Errorf(e.Pos, "no event has code %d", next)
		}
		if old := r.lock.events[code]; old != nil {
			return csource.Errorf(e.Pos, "%s is repeated (first on line %d)", symbols[code], old.Pos.Line)
		}
		ev, err := r.event(e, code, symbols[code])
		if err != nil {
			return err
		}
		r.lock.events[code] = ev
		next++
	}
	for _, code := range slices.Sorted(maps.Keys(symbols)) {
		if r.lock.events[code] == nil {
			return csource.Errorf(table.Pos, "%s has no entry in %s", symbols[code], table.Name)
		}
	}
	return nil
}

func (r *referenceReader) event(e *csource.Init, code uint16, symbol string) (*Event, error) {
	f := e.List
	if len(f) < 4 || len(f) > 5 || len(f[0].Tokens) != 1 || f[0].Tokens[0].Kind != csource.String {
		return nil, csource.Errorf(e.Pos, "%s is no event (want {\"name\", category, flags, number of params, {params}})", symbol)
	}
	ev := &Event{Pos: e.Pos, codePos: e.Pos, Code: code, Name: f[0].Tokens[0].Text, Class: "unknown", Source: "unknown", Dir: dirOf(code)}
	categories, err := orNames(f[1], "EC_")
	if err != nil {
		return nil, err
	}
	for _, w := range categories {
		switch {
		case w == "unknown":
		case slices.ContainsFunc(r.types.Sources, func(s Word) bool { return s.Name == w }):
			ev.Source = w
		default:
			ev.Class = w
		}
	}
	if ev.Flags, err = orNames(f[2], "EF_"); err != nil {
		return nil, err
	}
	order := map[string]int{"skipparsereset": 0} // the other order and name of the lock
	for i, w := range r.types.EventFlags {
		order[w.Name] = i - len(r.types.EventFlags)
	}
	ev.Flags = slices.DeleteFunc(ev.Flags, func(w string) bool { return w == "none" })
	for i, w := range ev.Flags {
		if w == "skipparsereset" {
			ev.Flags[i] = "skip_parse_reset"
		}
	}
	slices.SortFunc(ev.Flags, func(a, b string) int { return cmp.Or(cmp.Compare(order[a], order[b]), strings.Compare(a, b)) })
	n, err := r.c.Eval(f[3].Tokens)
	if err != nil {
		return nil, err
	}
	var params []*csource.Init
	if len(f) == 5 {
		params = f[4].List
	}
	if int64(len(params)) != n {
		return nil, csource.Errorf(f[3].Pos, "%s has %d params, and states %d", symbol, len(params), n)
	}
	was := r.like.events[code]
	for i, p := range params {
		if err := r.param(ev, was, i, p); err != nil {
			return nil, err
		}
	}
	for i, p := range ev.Params { // a directory may come after its path
		if p.Base == "" {
			continue
		}
		at, err := r.c.Eval(params[i].List[3].Tokens)
		if err != nil {
			return nil, err
		}
		if at < 0 || at >= n {
			return nil, csource.Errorf(params[i].List[3].Pos, "%s has no param %d", symbol, at)
		}
		p.Base = ev.Params[at].Name
	}
	ev.Symbol = r.symbol(ev, symbol)
	ev.FDParam = fdParam(ev)
	return ev, nil
}

// symbol returns our name of an event, by that of the reference: PPME_SYSCALL_OPENAT_2_X.
func (r *referenceReader) symbol(ev *Event, theirs string) string {
	if was := r.like.events[ev.Code]; was != nil && was.Name == ev.Name {
		return was.Symbol
	}
	if ev.Name == "NA" {
		return fmt.Sprintf("na_%s_%d", ev.Dir, ev.Code)
	}
	symbol := ev.Name + "_" + ev.Dir
	taken := func(events map[uint16]*Event) bool {
		for _, other := range events {
			if other.Code != ev.Code && other.Symbol == symbol {
				return true
			}
		}
		return false
	}
	if taken(r.like.events) || taken(r.lock.events) {
		symbol = strings.ToLower(strings.TrimPrefix(theirs, "PPME_")) // an older event of the call has it: a person gives each its name
	}
	return symbol
}

func (r *referenceReader) param(ev, was *Event, i int, e *csource.Init) error {
	f := e.List
	if len(f) < 3 || len(f[0].Tokens) != 1 || f[0].Tokens[0].Kind != csource.String {
		return csource.Errorf(e.Pos, "no param (want {\"name\", type, format} and what the type needs)")
	}
	typ, err := orNames(f[1], "PT_")
	if err != nil {
		return err
	}
	show, err := orNames(f[2], "PF_")
	if err != nil {
		return err
	}
	p := &Param{Pos: e.Pos, typePos: f[1].Pos, Name: f[0].Tokens[0].Text, Type: typ[0], Show: show[0]}
	if _, ok := r.lock.types[p.Type]; !ok {
		return csource.Errorf(f[1].Pos, "unknown type %s", initText(f[1]))
	}
	ev.Params = append(ev.Params, p)
	if len(f) < 4 || len(f[3].Tokens) == 1 && (f[3].Tokens[0].Text == "0" && p.Type != "fsrelpath" || f[3].Tokens[0].Text == "NULL") {
		return nil
	}
	name := f[3].Tokens[0].Text
	switch p.Type {
	case "fsrelpath":
		p.Base = "?" // once all params are known
	case "dyn":
		p.Dyn = strings.TrimSuffix(name, "_dynamic_param")
		r.dynTables[name] = true
		fallthrough
	default:
		if r.arrays[name] == nil {
			return csource.Errorf(f[3].Pos, "unknown table %s", initText(f[3]))
		}
		if p.Type == "dyn" {
			break
		}
		p.Names = name
		x := flagParam{param: p, array: name, pos: f[3].Pos}
		if was != nil && i < len(was.Params) && was.Params[i].Name == p.Name {
			x.ours = was.Params[i].Names
		}
		r.flagSets = append(r.flagSets, x)
	}
	return nil
}

// initText returns the text of an initialiser without braces.
func initText(i *csource.Init) string { return csource.Text(i.Tokens) }

// sets reads the flag sets of params, and gives them our names.
func (r *referenceReader) sets() error {
	ours, theirs := map[string]string{}, map[string]string{}
	for _, x := range r.flagSets {
		if x.ours != "" && ours[x.array] == "" && theirs[x.ours] == "" {
			ours[x.array], theirs[x.ours] = x.ours, x.array
		}
	}
	bits := map[string]int{}
	for _, x := range r.flagSets {
		x.param.Names = cmp.Or(ours[x.array], x.array)
		if t := r.types.Type(x.param.Type); t != nil {
			bits[x.array] = max(bits[x.array], 8*t.Size)
		}
	}
	for array := range bits {
		set := cmp.Or(ours[array], array)
		for _, e := range r.arrays[array].Init.List {
			if len(e.List) != 2 || len(e.List[0].Tokens) != 1 {
				return csource.Errorf(e.Pos, "no value of %s (want {\"NAME\", VALUE})", array)
			}
			name := e.List[0].Tokens[0]
			if name.Kind != csource.String {
				continue // the end
			}
			v, err := r.c.Eval(e.List[1].Tokens)
			if err != nil {
				return err
			}
			n := uint64(v)
			if b := bits[array]; b > 0 && b < 64 {
				n &= 1<<b - 1 // an event has these of a value that is wider than the param
			}
			r.lock.values[set] = append(r.lock.values[set], lockedName{pos: e.Pos, name: name.Text, value: n})
		}
	}
	for _, ev := range r.lock.events {
		for _, p := range ev.Params {
			p.lock = p.Name + ":" + r.types.lockType(p)
		}
	}
	return nil
}

// dyns reads the dyn tables of params.
func (r *referenceReader) dyns() error {
	for array := range r.dynTables {
		a := r.arrays[array]
		var variants []string
		for _, e := range a.Init.List {
			if len(e.List) < 3 {
				return csource.Errorf(e.Pos, "no variant of %s (want {{0}, type, format})", array)
			}
			typ, err := orNames(e.List[1], "PT_")
			if err != nil {
				return err
			}
			show, err := orNames(e.List[2], "PF_")
			if err != nil {
				return err
			}
			at := int64(len(variants))
			if e.Designator != nil {
				if at, err = r.c.Eval(e.Designator); err != nil {
					return err
				}
			}
			if at != int64(len(variants)) {
				return csource.Errorf(e.Pos, "variant %d comes after %d variants", at, len(variants))
			}
			text := typ[0]
			if t := r.types.Type(text); t != nil && t.Show != show[0] {
				text += "/" + show[0]
			}
			variants = append(variants, text)
		}
		r.lock.dyns[strings.TrimSuffix(array, "_dynamic_param")] = lockLine{pos: a.Pos, text: strings.Join(variants, " ")}
	}
	return nil
}

// version reads the versions: from the files of the repository, or from what its build makes of them.
func (r *referenceReader) version() error {
	v := Version{Codes: cmp.Or(r.end[0], r.ends[0]), IDs: cmp.Or(r.end[1], r.ends[1])}
	for _, x := range []struct {
		into       *string
		file, name string
	}{{&v.API, "API_VERSION", "API"}, {&v.Schema, "SCHEMA_VERSION", "SCHEMA"}} {
		file := path.Join(r.driver, x.file)
		text, err := fs.ReadFile(r.fsys, file)
		if errors.Is(err, fs.ErrNotExist) {
			file = path.Join(r.driver, "driver_config.h")
			text, err = r.configured(file, x.name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s states no version (want %s, or driver_config.h)", path.Join(r.name, r.driver), x.file)
		} else if err != nil {
			return err
		}
		v.pos = expr.Pos{File: path.Join(r.name, file), Line: 1, Col: 1}
		*x.into = strings.TrimSpace(string(text))
		if _, err := NextVersion(*x.into, 0); err != nil {
			return csource.Errorf(v.pos, "%s", err)
		}
	}
	r.lock.Versions = []Version{v}
	return nil
}

// configured returns a version that a header defines.
func (r *referenceReader) configured(file, name string) ([]byte, error) {
	text, err := fs.ReadFile(r.fsys, file)
	if err != nil {
		return nil, err
	}
	full := path.Join(r.name, file)
	var c csource.Source
	if err := c.Read(full, text); err != nil {
		return nil, err
	}
	var parts []string
	for _, part := range []string{"MAJOR", "MINOR", "PATCH"} {
		at := csource.Token{Pos: expr.Pos{File: full, Line: 1, Col: 1}, Kind: csource.Word, Text: "PPM_" + name + "_CURRENT_VERSION_" + part}
		n, err := c.Eval([]csource.Token{at})
		if err != nil {
			return nil, err
		}
		parts = append(parts, fmt.Sprint(n))
	}
	return []byte(strings.Join(parts, ".")), nil
}
