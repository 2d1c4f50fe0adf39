// SPDX-License-Identifier: Apache-2.0

package tables

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

//go:embed types.yaml
var ownTypes []byte

const typesFile = "types.yaml"

// DefaultTypes returns the words of the project's own types.yaml, for tables without
// that file.
func DefaultTypes() *Types {
	l := &loader{table: &Table{Types: &Types{}}}
	l.file(parseFile(typesFile, ownTypes, &l.errs), typeLists)
	if len(l.errs) > 0 {
		panic(l.errs)
	}
	return l.table.Types
}

var typeLists = []string{"types", "dyns", "shows", "classes", "other_classes", "sources", "event_flags", "errnos", "fd_types"}

// Types are the words that events are made of.
type Types struct {
	Types        []*Type // by code
	Dyns         []*Dyn
	Shows        []Word
	Classes      []Word // of events of syscalls
	OtherClasses []Word
	Sources      []Word
	EventFlags   []Word
	FDTypes      []Word // kinds of descriptors
	Errnos       []Word // the first of several names of a number is printed
}

// Word is a name with its number.
type Word struct {
	Pos   expr.Pos
	Name  string
	Value uint64
	Doc   string
}

// Type is a wire type.
type Type struct {
	Pos  expr.Pos
	Name string
	Code int
	As   string // s8 to s64, u8 to u64, f64; text, bytes, other
	Size int    // bytes, 0: variable
	Max  int    // bytes of a value that is not a number, 0: not known
	Low  bool   // only the lower 32 bits of the source are significant
	Show string // the default
	View string // Go type of the decoded field, or ""
	Doc  string
}

// Number reports whether values are numbers.
func (t *Type) Number() bool { return t.As != "text" && t.As != "bytes" && t.As != "other" }

// Signed reports whether values may be below 0.
func (t *Type) Signed() bool { return t.As[0] == 's' || t.As == "f64" }

// Dyn is a table of variants: the types that a param of type dyn may have.
type Dyn struct {
	Pos      expr.Pos
	Name     string
	Variants []Variant
}

// Variant is one of them.
type Variant struct {
	Type *Type
	Show string
}

// Type returns the type of that name, or nil.
func (t *Types) Type(name string) *Type {
	if i := slices.IndexFunc(t.Types, func(t *Type) bool { return t.Name == name }); i >= 0 {
		return t.Types[i]
	}
	return nil
}

// Dyn returns the table of variants of that name, or nil.
func (t *Types) Dyn(name string) *Dyn {
	if i := slices.IndexFunc(t.Dyns, func(d *Dyn) bool { return d.Name == name }); i >= 0 {
		return t.Dyns[i]
	}
	return nil
}

// Index returns the place of the variant of a type, or -1.
func (d *Dyn) Index(typ string) int {
	return slices.IndexFunc(d.Variants, func(v Variant) bool { return v.Type.Name == typ })
}

func (t *Types) names() []string {
	var out []string
	for _, typ := range t.Types {
		out = append(out, typ.Name)
	}
	slices.Sort(out)
	return out
}

func (t *Types) dynNames() []string {
	var out []string
	for _, d := range t.Dyns {
		out = append(out, d.Name)
	}
	return out
}

// dynTypes returns the types of a dyn table's variants; nil if there is no such table.
func (t *Types) dynTypes(name string) []string {
	i := slices.IndexFunc(t.Dyns, func(d *Dyn) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	var out []string
	for _, v := range t.Dyns[i].Variants {
		out = append(out, v.Type.Name)
	}
	return out
}

// Errno returns the number of an error.
func (t *Types) Errno(name string) (uint64, bool) { return numberOf(t.Errnos, name) }

func numberOf(words []Word, name string) (uint64, bool) {
	if i := slices.IndexFunc(words, func(w Word) bool { return w.Name == name }); i >= 0 {
		return words[i].Value, true
	}
	return 0, false
}

func names(words ...Word) []string {
	var out []string
	for _, w := range words {
		out = append(out, w.Name)
	}
	return out
}

// typ returns the wire type of that name, which exists.
func (l *loader) typ(name string) *Type { return l.table.Types.Type(name) }

func (l *loader) isErrno(name string) bool {
	_, ok := l.table.Types.Errno(name)
	return ok
}

var typeAs = []string{"s8", "s16", "s32", "s64", "u8", "u16", "u32", "u64", "f64", "text", "bytes", "other"}

func (l *loader) wireType(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "type"), "entry", []string{"type", "code", "as", "size", "max", "low", "show", "view", "doc"}, &l.errs)
	if m == nil || !m.required("type", "type: int8 names it") || !m.required("code", "code: 1 is its number") ||
		!m.required("as", "as: s8 is how it is sent") {
		return
	}
	t := &Type{Pos: f.Pos(n), Name: m.text("type"), As: m.oneOf("as", typeAs), Low: m.bool("low"), Show: m.text("show"),
		View: m.text("view"), Doc: m.text("doc")}
	code, ok := m.uint(m.byKey["code"], "code", 1<<8-1)
	if t.Name == "" || t.As == "" || !ok {
		return
	}
	t.Code = int(code)
	if all := l.table.Types.Types; t.Code != len(all)+1 {
		m.errorf(m.byKey["code"], "code %d is not the one after %d (codes ascend without gaps)", t.Code, len(all))
	}
	if old := l.typ(t.Name); old != nil {
		m.errorf(m.byKey["type"], "type %s is described twice (first on line %d)", t.Name, old.Pos.Line)
		return
	}
	if t.Number() {
		bits, _ := strconv.Atoi(t.As[1:])
		t.Size = bits / 8
	}
	if size := m.byKey["size"]; size != nil {
		if t.Number() {
			m.errorf(size, "size of a number (as: %s says it)", t.As)
		} else if v, ok := m.uint(size, "size", 255); ok {
			t.Size = int(v)
		}
	}
	if most := m.byKey["max"]; most != nil {
		if t.Size > 0 || t.As == "text" {
			m.errorf(most, "max of a %s, whose size is known", t.As)
		} else if v, ok := m.uint(most, "max", abi.ParamMax); ok {
			t.Max = int(v)
		}
	}
	if t.As == "text" {
		t.Max = abi.StringMax
	}
	if t.Show == "" {
		t.Show = "na"
		if t.Number() {
			t.Show = "dec"
		}
	}
	l.table.Types.Types = append(l.table.Types.Types, t)
}

func (l *loader) dyn(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "dyn"), "entry", []string{"dyn", "variants"}, &l.errs)
	if m == nil || !m.required("dyn", "dyn: sockopt names it") || !m.required("variants", "the types it may have") {
		return
	}
	d := &Dyn{Pos: f.Pos(n), Name: m.text("dyn")}
	for _, v := range m.list("variants") {
		name, show := v, (*yaml.Node)(nil)
		if v.Kind == yaml.MappingNode && len(v.Content) == 2 {
			name, show = v.Content[0], m.asScalar(v.Content[1], "show")
		}
		if name = m.asScalar(name, "variant"); name == nil {
			continue
		}
		t := l.typ(name.Value)
		if t == nil {
			m.errorf(name, "unknown type %s%s", name.Value, hint.DidYouMean(name.Value, l.table.Types.names()))
			continue
		}
		variant := Variant{Type: t, Show: t.Show}
		if show != nil {
			variant.Show = show.Value
		}
		d.Variants = append(d.Variants, variant)
	}
	l.table.Types.Dyns = append(l.table.Types.Dyns, d)
}

// knownTypes are the types that rules and inference name.
var knownTypes = strings.Fields(`int8 int16 int32 int64 uint8 uint16 uint32 uint64 errno fd fd32 pid uid gid charbuf fspath fsrelpath
	bytebuf sockaddr dyn`)

func (l *loader) checkTypes(m *mapping) {
	missing := slices.DeleteFunc(slices.Clone(knownTypes), func(name string) bool { return l.typ(name) != nil })
	if len(missing) > 0 && m.has("types") {
		m.errorf(m.keys["types"], "types have no %s (C types become those)", strings.Join(missing, ", "))
	}
}

// words reads a mapping of names to numbers.
func (l *loader) words(f *file, key string, n *yaml.Node) {
	list := map[string]*[]Word{"shows": &l.table.Types.Shows, "classes": &l.table.Types.Classes, "other_classes": &l.table.Types.OtherClasses,
		"sources": &l.table.Types.Sources, "event_flags": &l.table.Types.EventFlags, "errnos": &l.table.Types.Errnos,
		"fd_types": &l.table.Types.FDTypes}[key]
	m := f.mapping(n, key, "list", nil, &l.errs)
	if m == nil {
		return
	}
	for _, e := range m.fields {
		w := Word{Pos: f.Pos(e.key), Name: e.key.Value}
		number := e.val
		if e.val.Kind == yaml.MappingNode {
			wm := f.mapping(e.val, key+": "+w.Name, "word", []string{"value", "doc"}, &l.errs)
			if !wm.required("value", "its number") {
				continue
			}
			number, w.Doc = wm.byKey["value"], wm.text("doc")
		}
		var ok bool
		if w.Value, ok = m.uint(number, w.Name, 1<<16-1); ok {
			*list = append(*list, w)
		}
	}
}
