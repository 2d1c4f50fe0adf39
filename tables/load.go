// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/kver"
)

// Files are the names of the table's files, in the order they are read. A table
// without codes for generic events needs no ids.yaml.
var Files = []string{"flags.yaml", "helpers.yaml", "events.yaml", "syscalls.yaml", "ids.yaml"}

// Load reads and checks the table in a directory. The error is an ErrorList
// with everything that is wrong, and the table is nil then.
func Load(dir string) (*Table, error) {
	return load(os.DirFS(dir), filepath.ToSlash(filepath.Clean(dir)))
}

// LoadFS is Load for any file system; positions name the files as they stand in it.
func LoadFS(fsys fs.FS) (*Table, error) { return load(fsys, "") }

func load(fsys fs.FS, dir string) (*Table, error) {
	l := &loader{
		table:   &Table{},
		sets:    map[string]*FlagSet{},
		natives: map[string]bool{},
		helpers: map[string]map[string]*Helper{},
		groups:  map[string]*rawGroup{},
		codes:   map[uint16]codeOwner{},
		symbols: map[string]codeOwner{},
	}
	broken := false
	for _, name := range Files {
		full := path.Join(dir, name)
		src, err := fs.ReadFile(fsys, name)
		if name == "ids.yaml" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			l.errs.add(expr.Pos{File: full, Line: 1, Col: 1}, "", "%s", err)
			broken = true
			continue
		}
		f := parseFile(full, src, &l.errs)
		broken = broken || f == nil
		if !broken { // what cannot be read would make every name in it unknown
			l.file(name, f)
		}
	}
	if !broken {
		l.check()
	}
	if len(l.errs) > 0 {
		return nil, l.errs.sorted()
	}
	return l.table, nil
}

type loader struct {
	table   *Table
	errs    ErrorList
	sets    map[string]*FlagSet
	natives map[string]bool // constants with a native value
	helpers map[string]map[string]*Helper
	groups  map[string]*rawGroup
	codes   map[uint16]codeOwner
	symbols map[string]codeOwner

	nativeNames []string // sorted, made when first needed
}

type codeOwner struct {
	pos  expr.Pos
	name string
}

type rawGroup struct {
	group *Group
	f     *file
	node  *yaml.Node
	used  bool
	open  bool // its params are being read
}

// file reads one file: its schema number, then its lists.
func (l *loader) file(name string, f *file) {
	lists := map[string][]string{
		"flags.yaml": {"flags"}, "helpers.yaml": {"helpers"}, "events.yaml": {"groups", "events"}, "syscalls.yaml": {"syscalls"},
		"ids.yaml": {"ids"},
	}[name]
	m := f.mapping(f.root, "", "file", append([]string{"schema"}, lists...), &l.errs)
	if m == nil {
		return
	}
	if m.required("schema", "schema: 1 comes first") {
		if n := m.scalar("schema"); n != nil && n.Value != "1" {
			m.errorf(n, "unknown schema %s (1 is known)", n.Value)
		}
		if m.fields[0].key.Value != "schema" {
			m.errorf(m.fields[0].key, "schema stands behind %s (schema: 1 comes first)", m.fields[0].key.Value)
		}
	}
	for _, key := range lists {
		n := m.byKey[key]
		if n == nil {
			if key != "groups" {
				m.required(key, "the list of this file")
			}
			continue
		}
		if n.Kind != yaml.SequenceNode {
			m.errorf(n, "%s is %s (a list is expected)", key, kindName(n))
			continue
		}
		for _, item := range n.Content {
			switch key {
			case "flags":
				l.flagSet(f, item)
			case "helpers":
				l.helper(f, item)
			case "groups":
				l.group(f, item)
			case "events":
				l.event(f, item)
			case "syscalls":
				l.syscall(f, item)
			case "ids":
				l.id(f, item)
			}
		}
	}
}

// ---- flags.yaml

func (l *loader) flagSet(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "set"), "entry", []string{"set", "header", "kind", "width", "default", "values", "doc"}, &l.errs)
	if m == nil || !m.required("set", "set: open_flags names it") {
		return
	}
	s := &FlagSet{Pos: f.pos(n), Name: m.text("set"), Header: m.text("header")}
	m.subject = s.Name
	if s.Name == "" {
		return
	}
	if !expr.IsIdent(s.Name) {
		m.errorf(m.byKey["set"], "bad name %s (a C identifier is expected)", s.Name)
	}
	if old := l.sets[s.Name]; old != nil {
		m.errorf(m.byKey["set"], "flag set %s is described twice (first on line %d)", s.Name, old.Pos.Line)
		return
	}
	l.sets[s.Name] = s
	l.table.Flags = append(l.table.Flags, s)
	if m.has("kind") {
		s.Kind = m.oneOf("kind", []string{"bits", "mask", "enum", "identity", "manual"})
	}
	if w := m.byKey["width"]; w != nil {
		switch {
		case s.Kind != "enum" && s.Kind != "identity":
			m.errorf(w, "width without use (kinds enum and identity have one)")
		case w.Value != "8" && w.Value != "16" && w.Value != "32":
			m.errorf(w, "bad width %s (8, 16 or 32)", w.Value)
		default:
			s.Width, _ = strconv.Atoi(w.Value)
		}
	} else if s.Kind == "enum" || s.Kind == "identity" {
		s.Width = 32
	}
	if d := m.byKey["default"]; d != nil {
		if s.Kind != "enum" {
			m.errorf(d, "default without use (kind enum has one)")
		}
		v, _ := m.uint(d, "default", 1<<32-1)
		s.Default = uint32(v)
	}
	if !m.required("values", "names and their numbers") {
		return
	}
	v := f.mapping(m.byKey["values"], s.Name, "values", nil, &l.errs)
	if v == nil {
		return
	}
	for _, e := range v.fields {
		l.flagValue(s, v, e)
	}
	l.checkNatives(s)
}

func (l *loader) flagValue(s *FlagSet, m *mapping, e field) {
	name := e.key.Value
	fv := FlagValue{Pos: m.f.pos(e.key), Name: name}
	if !expr.IsIdent(name) {
		m.errorf(e.key, "bad name %s (a C identifier is expected)", name)
		return
	}
	converts := s.Kind != "" && s.Kind != "manual"
	if e.val.Kind != yaml.MappingNode {
		v, ok := m.uint(e.val, name, 1<<32-1)
		if !ok {
			return
		}
		fv.Value = uint32(v)
		if converts {
			fv.Native, fv.HasNative = v, true
		}
	} else {
		vm := m.f.mapping(e.val, s.Name+": "+name, name, []string{"value", "native"}, m.errs)
		if !vm.required("value", "the number events carry") {
			return
		}
		v, ok := vm.uint(vm.byKey["value"], "value", 1<<32-1)
		if !ok {
			return
		}
		fv.Value = uint32(v)
		switch nat := vm.byKey["native"]; {
		case nat == nil:
			if converts {
				fv.Native, fv.HasNative = v, true
			}
		case nat.Kind == yaml.MappingNode:
			fv.NativeBy = map[string]uint64{}
			am := m.f.mapping(nat, vm.subject, "native", append([]string{"all", "generic"}, Arches...), m.errs)
			for _, a := range am.fields {
				v, ok := am.uint(a.val, "native value", 1<<64-1)
				switch {
				case !ok:
				case a.key.Value == "all":
					fv.Native, fv.HasNative = v, true
				default:
					for _, arch := range expandArch(a.key.Value) {
						if _, own := am.byKey[arch]; a.key.Value != "generic" || !own {
							fv.NativeBy[arch] = v
						}
					}
				}
			}
			if fv.HasNative {
				maps.DeleteFunc(fv.NativeBy, func(_ string, v uint64) bool { return v == fv.Native })
			}
			if len(fv.NativeBy) == 0 {
				fv.NativeBy = nil
			}
		case nat.Value == "none":
		default:
			if fv.Native, ok = vm.uint(nat, "native value", 1<<64-1); !ok {
				return
			}
			fv.HasNative = true
		}
	}
	if fv.HasNative || fv.NativeBy != nil {
		l.natives[name] = true
	}
	s.Values = append(s.Values, fv)
}

// ---- helpers.yaml

var helperKinds = []string{"value", "param", "reducer", "given", "after"}

func (l *loader) helper(f *file, n *yaml.Node) {
	m := f.mapping(n, "", "entry", append([]string{"doc", "filler"}, helperKinds...), &l.errs)
	if m == nil {
		return
	}
	h := &Helper{Pos: f.pos(n)}
	var decl *yaml.Node
	for _, e := range m.fields {
		if slices.Contains(helperKinds, e.key.Value) {
			if decl != nil {
				m.errorf(e.key, "helper is both %s and %s (write two entries)", h.Kind, e.key.Value)
				return
			}
			decl, h.Kind = e.val, e.key.Value
		}
	}
	if decl == nil {
		m.errorf(n, "kind is missing (value, param, reducer, given or after)")
		return
	}
	if m.asScalar(decl, h.Kind) == nil {
		return
	}
	name, args, serr := parseDecl(decl.Value)
	if serr != nil {
		l.errs.add(l.in(f, decl, serr.off), h.Kind, "%s", serr.msg)
		return
	}
	h.Name, h.Args = name, args
	m.subject = name
	h.Doc = m.text("doc")
	m.required("doc", "one line: units, errors, what an object is")
	if h.Filler = m.bool("filler"); m.has("filler") && h.Kind != "value" {
		m.errorf(m.byKey["filler"], "filler without use (param helpers always take it, guest and Go functions never)")
	}
	if expr.Functions[name] != "" && (h.Kind == "given" || h.Kind == "after") {
		m.errorf(decl, "%s is built in", expr.Functions[name])
		return
	}
	for _, kind := range helperKinds {
		old := l.helpers[kind][name]
		if old != nil && (kind == h.Kind || kind == "value" && h.Kind == "param" || kind == "param" && h.Kind == "value" || kind == "given" && h.Kind == "after") {
			m.errorf(decl, "%s helper %s is declared already on line %d", old.Kind, name, old.Pos.Line)
			return
		}
	}
	if l.helpers[h.Kind] == nil {
		l.helpers[h.Kind] = map[string]*Helper{}
	}
	l.helpers[h.Kind][name] = h
	l.table.Helpers = append(l.table.Helpers, h)
}

// in returns the place of byte off of a scalar's text; the text is ASCII up to there.
func (l *loader) in(f *file, n *yaml.Node, off int) expr.Pos {
	pos := f.positions(n)
	return pos[min(off, len(pos)-1)]
}

// ---- events.yaml

func (l *loader) group(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "group"), "entry", []string{"group", "params", "doc"}, &l.errs)
	if m == nil || !m.required("group", "group: task_common names it") || !m.required("params", "what the group stands for") {
		return
	}
	g := &Group{Pos: f.pos(n), Name: m.text("group")}
	if old := l.groups[g.Name]; old != nil {
		m.errorf(m.byKey["group"], "group %s is described twice (first on line %d)", g.Name, old.group.Pos.Line)
		return
	}
	raw := &rawGroup{group: g, f: f, node: m.byKey["params"], open: true}
	l.groups[g.Name] = raw
	defer func() { raw.open = false }()
	g.Params = l.params(f, m.byKey["params"], &context{subject: g.Name, group: g.Name})
	l.table.Groups = append(l.table.Groups, g)
}

var eventKeys = []string{
	"event", "name", "code", "dir", "class", "source", "from", "filler", "flags", "symbol", "fd", "differs", "params",
}

func (l *loader) event(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "name"), "entry", eventKeys, &l.errs)
	if m == nil || !m.required("event", "event: 152 is its code") {
		return
	}
	ev := &Event{Pos: f.pos(n), FDParam: -1, Name: m.text("name"), Differs: m.text("differs")}
	code := m.byKey["event"]
	if m.has("code") { // event: name, code: number
		ev.Name, code = m.text("event"), m.byKey["code"]
	}
	m.subject = ev.Name
	c, ok := m.uint(code, "event code", 1<<16-1)
	if !ok {
		return
	}
	if ev.Name == "" {
		m.errorf(n, "name is missing (name: switch is what tools show)")
		return
	}
	if !expr.IsIdent(ev.Name) {
		m.errorf(n, "bad name %s (a C identifier is expected)", ev.Name)
		return
	}
	ev.Code = uint16(c)
	ev.Dir = dirOf(ev.Code)
	if dir := m.oneOf("dir", []string{"enter", "exit"}); dir != "" && dir != ev.Dir {
		m.errorf(code, "code %d is for dir %s (enter codes are even, exit codes odd)", ev.Code, ev.Dir)
	}
	ev.Flags = m.names("flags", "event flag", func(s string) bool { return slices.Contains(eventFlags, s) }, eventFlags)
	unused := slices.Contains(ev.Flags, "unused")
	if ev.Class = m.oneOf("class", eventClasses); !m.has("class") {
		if !unused {
			m.required("class", "class: file is its category")
		}
		ev.Class = "unknown"
	}
	if ev.From = m.text("from"); ev.From != "" {
		for _, tp := range strings.Split(ev.From, "|") {
			if tp = strings.TrimSpace(tp); !slices.Contains(tracepoints, tp) {
				m.errorf(m.byKey["from"], "unknown tracepoint %s%s", tp, didYouMean(tp, tracepoints))
			}
		}
		ev.From = strings.Join(strings.FieldsFunc(ev.From, func(r rune) bool { return r == '|' || r == ' ' }), "|")
	}
	ev.Source = m.oneOf("source", eventSources)
	if !m.has("source") {
		switch {
		case unused:
			ev.Source = "unknown"
		case ev.From != "" && !strings.HasPrefix(ev.From, "sys_"):
			ev.Source = "tracepoint"
		default:
			ev.Source = "syscall"
		}
	}
	ev.Filler = m.oneOf("filler", []string{"manual"})
	ev.Symbol = m.text("symbol")
	if ev.Symbol == "" {
		ev.Symbol = strings.ToLower(ev.Name) + "_" + ev.Dir
		if unused || slices.Contains(ev.Flags, "old_version") {
			ev.Symbol += "_" + strconv.Itoa(int(ev.Code))
		}
	} else if !expr.IsIdent(ev.Symbol) || ev.Symbol != strings.ToLower(ev.Symbol) {
		m.errorf(m.byKey["symbol"], "bad symbol %s (a C identifier in lower case is expected)", ev.Symbol)
	}
	if p := m.byKey["params"]; p != nil {
		ev.Params = l.params(f, p, &context{subject: ev.Name, noSource: ev.From == "" || ev.Filler == "manual"})
	} else if !unused {
		m.required("params", "params: [] has none")
	}
	l.finish(ev, m, "fd")
	l.own(ev, f.pos(code), ev.Name)
	l.table.Events = append(l.table.Events, ev)
}

func dirOf(code uint16) string {
	if code%2 == 0 {
		return "enter"
	}
	return "exit"
}

// own enters an event's code and symbol. A row of events.yaml that is only a
// layout gives way to the entry of the syscall that makes the event: the
// contributor of the entry need not touch the row.
func (l *loader) own(ev *Event, pos expr.Pos, name string) {
	if row := l.layoutRow(ev); row != nil {
		l.agree(ev, row, pos, name)
		l.table.Events = slices.DeleteFunc(l.table.Events, func(e *Event) bool { return e == row })
		delete(l.codes, row.Code)
		delete(l.symbols, row.Symbol)
	}
	if old, ok := l.codes[ev.Code]; ok {
		l.errs.add(pos, name, "code %s belongs to %s (%s)", codeText(ev.Code), old.name, lineOf(old.pos, pos))
		return
	}
	l.codes[ev.Code] = codeOwner{pos, name}
	if old, ok := l.symbols[ev.Symbol]; ok {
		l.errs.add(pos, name, "symbol %s belongs to %s (%s; symbol: gives another)", ev.Symbol, old.name, lineOf(old.pos, pos))
		return
	}
	l.symbols[ev.Symbol] = codeOwner{pos, name}
}

// agree compares an entry's event with the row it replaces: what consumers see
// of the event is the reference's.
func (l *loader) agree(ev, row *Event, pos expr.Pos, name string) {
	differ := func(pos expr.Pos, subject, what, got, want string) {
		if got != want {
			l.errs.add(pos, subject, "%s is %s (%s says %s)", what, cmp.Or(got, "none"), lineOf(row.Pos, pos), cmp.Or(want, "none"))
		}
	}
	if len(ev.Flags) == 0 {
		ev.Flags = row.Flags
	}
	flags := func(ev *Event) string { return strings.Join(slices.Sorted(slices.Values(ev.Flags)), " ") }
	differ(pos, name, "class", ev.Class, row.Class)
	differ(pos, name, "flags", flags(ev), flags(row))
	if want, got := layout(row), layout(ev); want != got {
		l.errs.add(pos, name, "code %s has the params %s (%s says %s)", codeText(ev.Code), got, lineOf(row.Pos, pos), want)
		return
	}
	for i, p := range ev.Params {
		subject := name + ": " + p.Name
		differ(p.Pos, subject, "show", p.Show, row.Params[i].Show)
		differ(p.Pos, subject, "names", p.Names, row.Params[i].Names)
		differ(p.Pos, subject, "base", p.Base, row.Params[i].Base)
	}
}

// layoutRow is the row of events.yaml that ev, a syscall entry's event, replaces.
func (l *loader) layoutRow(ev *Event) *Event {
	if ev.From != "sys_exit" && ev.From != "sys_enter" {
		return nil
	}
	for _, e := range l.table.Events {
		if e.Code == ev.Code && e.From == "" && e.Name == ev.Name && !slices.Contains(e.Flags, "old_version") {
			return e
		}
	}
	return nil
}

// layout is what the bytes of an event depend on.
func layout(ev *Event) string {
	var params []string
	for _, p := range ev.Params {
		params = append(params, p.Name+" "+p.Type)
	}
	return "(" + strings.Join(params, ", ") + ")"
}

// lineOf names a line, with its file when that is another one than at's.
func lineOf(pos, at expr.Pos) string {
	if pos.File == at.File {
		return fmt.Sprintf("line %d", pos.Line)
	}
	return fmt.Sprintf("%s:%d", pos.File, pos.Line)
}

func codeText(code uint16) string {
	if code >= oursFrom {
		return fmt.Sprintf("%#x", code)
	}
	return strconv.Itoa(int(code))
}

// finish checks a whole event and finds its fd.
func (l *loader) finish(ev *Event, m *mapping, fdKey string) {
	at := map[string]*Param{}
	for _, p := range ev.Params {
		if at[p.Name] != nil {
			l.errs.add(p.Pos, m.subject+": "+p.Name, "param %s is repeated", p.Name)
		}
		at[p.Name] = p
	}
	if len(ev.Params) > maxParams {
		l.errs.add(ev.Params[maxParams].Pos, m.subject, "%d params (at most %d)", len(ev.Params), maxParams)
	}
	for _, p := range ev.Params {
		l.checkParam(p, at, m.subject+": "+p.Name)
	}
	ev.FDParam = fdParam(ev)
	if n := m.scalar(fdKey); n != nil {
		ev.FDParam = -1
		for i, p := range ev.Params {
			if p.Name == n.Value {
				ev.FDParam = i
			}
		}
		switch p := at[n.Value]; {
		case p == nil:
			if ev.Dir == "exit" || fdKey == "" {
				m.errorf(n, "fd names no param %s%s", n.Value, didYouMean(n.Value, slices.Sorted(maps.Keys(at))))
			}
		case p.Type != "fd" && p.Type != "fd32":
			m.errorf(n, "fd names param %s of type %s (fd is expected)", n.Value, p.Type)
		}
	}
}

// ---- ids.yaml

func (l *loader) id(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "syscall"), "entry", []string{"id", "syscall", "drop", "nr", "ia32"}, &l.errs)
	if m == nil || !m.required("id", "id: 3 is the syscall code") || !m.required("syscall", "syscall: read is its name") {
		return
	}
	id := &ID{Pos: f.pos(n), Name: m.text("syscall"), Drop: m.oneOf("drop", dropClasses), IA32: m.text("ia32")}
	m.subject = id.Name
	m.required("drop", "drop: sampled tells what dropping mode does")
	code, ok := m.uint(m.byKey["id"], "id", 1<<16-1)
	if !ok {
		return
	}
	id.Code = uint16(code)
	if ids := l.table.IDs; len(ids) > 0 && id.Code <= ids[len(ids)-1].Code {
		m.errorf(m.byKey["id"], "id %d stands behind %d (ids ascend)", id.Code, ids[len(ids)-1].Code)
	}
	if m.has("nr") {
		id.NR = l.numbers(m)
	}
	l.table.IDs = append(l.table.IDs, id)
}

// ---- params

// context is where params stand: what their expressions may name.
type context struct {
	subject  string
	sys      *Syscall // nil in events.yaml
	enter    bool
	group    string // inside a group's own description: arguments are not known yet
	noSource bool   // params need no from: a hand-written filler, or no driver makes the event
}

func (c *context) args() []CParam {
	if c.sys == nil {
		return nil
	}
	return c.sys.Params
}

func (c *context) arg(name string) (arg, prev *CParam) {
	for i := range c.args() {
		if c.sys.Params[i].Name == name {
			if i > 0 {
				prev = &c.sys.Params[i-1]
			}
			return &c.sys.Params[i], prev
		}
	}
	return nil, nil
}

// params reads a list of one-key mappings, or a mapping, in wire order.
func (l *loader) params(f *file, n *yaml.Node, ctx *context) []*Param {
	var out []*Param
	one := func(key, val *yaml.Node) {
		if key.Value == "use" && (val.Kind == yaml.ScalarNode) {
			out = append(out, l.use(f, val, ctx)...)
			return
		}
		if p := l.param(f, key, val, ctx); p != nil {
			out = append(out, p)
		} else if ctx.sys != nil {
			ctx.sys.broken = append(ctx.sys.broken, key.Value)
		}
	}
	switch n.Kind {
	case yaml.MappingNode:
		if m := f.mapping(n, ctx.subject, "params", nil, &l.errs); m != nil {
			for _, e := range m.fields {
				one(e.key, e.val)
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			switch {
			case item.Kind == yaml.ScalarNode && item.Value != "": // - fd: everything follows from the argument
				one(item, &yaml.Node{Kind: yaml.MappingNode, Line: item.Line, Column: item.Column})
			case item.Kind == yaml.MappingNode && len(item.Content) == 2 && item.Content[0].Kind == yaml.ScalarNode:
				one(item.Content[0], item.Content[1])
			default:
				l.errs.add(f.pos(item), ctx.subject, "param is %s (name: {type: fd, from: ret} is expected)", itemName(item))
			}
		}
	default:
		l.errs.add(f.pos(n), ctx.subject, "params are %s (a list is expected)", kindName(n))
	}
	return out
}

func itemName(n *yaml.Node) string {
	if n.Kind == yaml.MappingNode {
		return fmt.Sprintf("a mapping of %d keys", len(n.Content)/2)
	}
	return kindName(n)
}

func (l *loader) use(f *file, n *yaml.Node, ctx *context) []*Param {
	g := l.groups[n.Value]
	switch {
	case g == nil:
		l.errs.add(f.pos(n), ctx.subject, "unknown group %s%s", n.Value, didYouMean(n.Value, slices.Sorted(maps.Keys(l.groups))))
		return nil
	case g.open:
		l.errs.add(f.pos(n), ctx.subject, "group %s uses itself", n.Value)
		return nil
	}
	g.used, g.open = true, true
	params := l.params(g.f, g.node, ctx)
	g.open = false
	for _, p := range params {
		p.Group = n.Value
	}
	return params
}

var paramKeys = []string{
	"type", "from", "base", "names", "show", "len", "snaplen", "when", "else", "switch", "dyn", "since", "except", "differs",
}

func (l *loader) param(f *file, key, val *yaml.Node, ctx *context) *Param {
	p := &Param{Pos: f.pos(key), Name: key.Value}
	subject := ctx.subject + ": " + p.Name
	if !expr.IsIdent(p.Name) {
		l.errs.add(p.Pos, ctx.subject, "bad param name %q (a C identifier is expected)", p.Name)
		return nil
	}
	if val.Kind == yaml.ScalarNode { // name: type, or name alone
		var content []*yaml.Node
		if val.Value != "" {
			k := &yaml.Node{Kind: yaml.ScalarNode, Value: "type", Line: val.Line, Column: val.Column}
			content = []*yaml.Node{k, val}
		}
		val = &yaml.Node{Kind: yaml.MappingNode, Line: key.Line, Column: key.Column, Content: content}
	}
	m := f.mapping(val, subject, "param", paramKeys, &l.errs)
	if m == nil {
		return nil
	}
	if n := m.scalar("type"); n != nil {
		if _, ok := wireTypes[n.Value]; ok {
			p.Type = n.Value
		} else {
			m.errorf(n, "unknown type %s%s", n.Value, didYouMean(n.Value, slices.Sorted(maps.Keys(wireTypes))))
			return nil
		}
	}
	p.Base = m.text("base")
	p.Names = m.text("names")
	p.Show = m.oneOf("show", shows)
	p.Dyn = m.oneOf("dyn", dynTables)
	p.Differs = m.text("differs")
	p.Since = l.version(m, "since")
	p.Except = l.except(m)
	p.Snaplen = m.bool("snaplen")
	if names := m.byKey["names"]; names != nil && p.Names != "" && l.sets[p.Names] == nil {
		m.errorf(names, "unknown flag set %s%s", p.Names, didYouMean(p.Names, slices.Sorted(maps.Keys(l.sets))))
		p.Names = ""
	}

	src := source{l: l, ctx: ctx, subject: subject}
	if n := m.scalar("from"); n != nil {
		p.From = f.parse(n, subject, &l.errs)
		src.check(p.From, true)
	} else if !m.has("from") && !m.has("switch") {
		l.fromName(p, m, key, ctx)
	}
	if n := m.scalar("len"); n != nil {
		p.Len = f.parse(n, subject, &l.errs)
		src.check(p.Len, false)
	}
	l.when(p, m, ctx)
	if n := m.scalar("else"); n != nil {
		if p.When == nil {
			m.errorf(n, "else without when")
		}
		p.Else = f.parse(n, subject, &l.errs)
		src.check(p.Else, true)
	}
	l.switchOn(p, m, &src)
	if p.Type == "" && !l.inferParam(p, ctx) {
		m.errorf(val, "type is missing (it follows only from a plain argument or ret)")
		return nil
	}
	l.defaults(p)
	l.shape(p, m, ctx)
	return p
}

// fromName fills in a source that is left out: the argument of that name, or
// ret for res.
func (l *loader) fromName(p *Param, m *mapping, key *yaml.Node, ctx *context) {
	arg, _ := ctx.arg(p.Name)
	switch {
	case arg != nil:
		p.From = &expr.Node{Kind: expr.Name, Pos: p.Pos, Text: p.Name}
	case p.Name == "res" && ctx.sys != nil && !ctx.enter:
		p.From = &expr.Node{Kind: expr.Name, Pos: p.Pos, Text: "ret"}
	case ctx.group != "" || ctx.noSource:
	default:
		var names []string
		for _, a := range ctx.args() {
			names = append(names, a.Name)
		}
		m.errorf(key, "from is missing, and no argument is called %s%s", p.Name, didYouMean(p.Name, names))
	}
}

// inferParam finds the type of a param without one.
func (l *loader) inferParam(p *Param, ctx *context) bool {
	if isName(p.From, "ret") {
		inferRet(p)
		return true
	}
	if p.From == nil || p.From.Kind != expr.Name {
		return false
	}
	arg, prev := ctx.arg(p.From.Text)
	if arg == nil {
		return false
	}
	show, base := p.Show, p.Base
	ok := inferType(*arg, prev, p)
	if show != "" {
		p.Show = show
	}
	if base != "" {
		p.Base = base
	}
	return ok
}

func (l *loader) when(p *Param, m *mapping, ctx *context) {
	n := m.byKey["when"]
	if n == nil {
		return
	}
	w := m.f.mapping(n, m.subject, "when", nil, &l.errs)
	if w == nil {
		return
	}
	for _, e := range w.fields {
		c := Cond{Var: e.key.Value, Op: "in"}
		arg, _ := ctx.arg(c.Var)
		if !(c.Var == "ret" && !ctx.enter) && arg == nil && ctx.group == "" {
			var names []string
			if !ctx.enter {
				names = append(names, "ret")
			}
			for _, a := range ctx.args() {
				names = append(names, a.Name)
			}
			w.errorf(e.key, "when tests unknown %s%s", c.Var, didYouMean(c.Var, names))
			continue
		}
		for _, v := range w.list(c.Var) {
			if v = w.asScalar(v, "when"); v == nil {
				continue
			}
			x := m.f.parse(v, m.subject, &l.errs)
			if x == nil {
				continue
			}
			if x.Kind == expr.Compare {
				if e.val.Kind == yaml.SequenceNode {
					w.errorf(v, "comparison in a list (a comparison stands alone)")
					continue
				}
				if x.Text != "==" {
					c.Op = x.Text
				}
				x = x.Args[0]
			}
			if l.constant(x, m.subject) {
				c.In = append(c.In, x)
			}
		}
		if len(c.In) > 0 {
			p.When = append(p.When, c)
		}
	}
	if len(w.fields) == 0 {
		w.errorf(n, "when is empty (when: {ret: 0} is one)")
	}
}

func (l *loader) switchOn(p *Param, m *mapping, src *source) {
	n := m.byKey["switch"]
	if n == nil {
		return
	}
	s := m.f.mapping(n, m.subject, "switch", nil, &l.errs)
	if s == nil {
		return
	}
	if m.has("from") {
		m.errorf(n, "switch beside from (the arms have the sources)")
	}
	if !s.required("on", "on: option names the param that selects") {
		return
	}
	p.Switch = &Switch{On: s.text("on")}
	for _, e := range s.fields {
		if e.key.Value == "on" {
			continue
		}
		arm := SwitchArm{}
		if p.Switch.hasDefault() {
			s.errorf(e.key, "switch arm behind default (default comes last)")
		}
		if e.key.Value != "default" {
			x := m.f.parse(e.key, m.subject, &l.errs)
			if x == nil {
				continue
			}
			arm.Values = []*expr.Node{x}
			if x.Kind == expr.Or {
				arm.Values = x.Args
			}
		}
		from := e.val
		if e.val.Kind == yaml.MappingNode {
			am := m.f.mapping(e.val, m.subject, "switch arm", []string{"from", "dyn"}, &l.errs)
			if !am.required("from", "the source of this arm") {
				continue
			}
			from = am.scalar("from")
			arm.Dyn = am.oneOf("dyn", slices.Sorted(maps.Keys(wireTypes)))
		} else {
			from = s.asScalar(from, "switch arm")
		}
		if from == nil {
			continue
		}
		if arm.From = m.f.parse(from, m.subject, &l.errs); arm.From == nil {
			continue
		}
		src.check(arm.From, true)
		if (p.Type == "dyn") != (arm.Dyn != "") {
			if p.Type == "dyn" {
				s.errorf(e.val, "switch arm has no dyn (an arm of a dyn param names its variant)")
			} else {
				s.errorf(e.val, "switch arm has dyn (only params of type dyn have variants)")
			}
		}
		p.Switch.Arms = append(p.Switch.Arms, arm)
	}
	if len(s.fields) == 1 {
		s.errorf(n, "switch has no arms")
	}
	if !p.Switch.hasDefault() {
		p.Switch.Arms = append(p.Switch.Arms, SwitchArm{From: &expr.Node{Kind: expr.Name, Text: "empty", Pos: m.f.pos(n)}})
	}
}

func (s *Switch) hasDefault() bool {
	return len(s.Arms) > 0 && s.Arms[len(s.Arms)-1].Values == nil
}

var versionRE = regexp.MustCompile(`^[0-9]+\.[0-9]+(\.[0-9]+)?$`)

// version reads a kernel version that must be quoted: YAML tools take 5.10 for 5.1.
func (l *loader) version(m *mapping, key string) string {
	n := m.scalar(key)
	if n == nil {
		return ""
	}
	return l.versionOf(m, n, key)
}

func (l *loader) versionOf(m *mapping, n *yaml.Node, what string) string {
	_, err := kver.Parse(n.Value)
	switch {
	case err != nil || !versionRE.MatchString(n.Value): // kver takes more forms; digits alone may be too many
		m.errorf(n, `bad %s %s (a kernel version such as "5.10" is expected)`, what, n.Value)
	case n.Style&quotedStyle == 0:
		m.errorf(n, `%s %s without quotes (write "%s")`, what, n.Value, n.Value)
	default:
		return n.Value
	}
	return ""
}

// compareVersions orders kernel versions that version accepted.
func compareVersions(a, b string) int { return kver.MustParse(a).Compare(kver.MustParse(b)) }

func (l *loader) except(m *mapping) map[string]string {
	n := m.byKey["except"]
	if n == nil {
		return nil
	}
	em := m.f.mapping(n, m.subject, "except", drivers, &l.errs)
	if em == nil {
		return nil
	}
	out := map[string]string{}
	for _, e := range em.fields {
		if v := em.asScalar(e.val, "except"); v != nil {
			out[e.key.Value] = v.Value
		}
	}
	return out
}
