// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// Reducer declares a Go method of the inspector that `state` may name.
type Reducer struct {
	Pos  expr.Pos
	Name string
	Args []ReducerArg
	Any  bool // runs after a failure too
	Doc  string

	used bool
}

// ReducerArg is one argument of a reducer. The name ret stands for the first
// param of the event, whatever its name.
type ReducerArg struct {
	Type    string // a key of ReducerTypes, or a flag set
	Name    string
	Default string // a constant; "" when there is none
}

// String writes the declaration.
func (r *Reducer) String() string {
	args := make([]string, len(r.Args))
	for i, a := range r.Args {
		if args[i] = a.Type + " " + a.Name; a.Default != "" {
			args[i] += " = " + a.Default
		}
	}
	return r.Name + "(" + strings.Join(args, ", ") + ")"
}

// ReducerTypes are the types of reducer arguments, with the wire types of the params
// that fit. A flag set is a type as well: params with its names fit, and params
// without names fit every set.
var ReducerTypes = map[string][]string{
	"fd":    {"fd", "fd32"},
	"pid":   {"pid", "pid32", "int64"},
	"uid":   {"uid", "uint32"},
	"gid":   {"gid", "uid", "uint32"}, // the reference types some groups as users
	"u8":    {"uint8", "bool", "sigtype", "flags8", "enumflags8"},
	"u32":   {"uint8", "uint16", "uint32", "bool", "sigset", "flags8", "flags16", "flags32", "enumflags8", "enumflags16", "enumflags32", "mode"},
	"u64":   {"uint8", "uint16", "uint32", "uint64", "flags8", "flags16", "flags32", "flags64", "reltime", "abstime"},
	"s64":   {"int8", "int16", "int32", "int64", "errno"},
	"path":  {"fspath", "fsrelpath", "charbuf"},
	"text":  {"charbuf"},
	"bytes": {"bytebuf"},
	"tuple": {"socktuple"},
	"addr":  {"sockaddr"},
	"dyn":   {"dyn"},
	fdType:  {}, // only constants: the kinds of descriptors that package proc names
}

// fdType is the type of arguments that are a kind of descriptor.
const fdType = "fd_type"

// namesSet reports whether a reducer's argument holds values of a flag set.
func (a ReducerArg) namesSet() bool { _, ok := ReducerTypes[a.Type]; return !ok }

func (l *loader) reducer(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "reducer"), "entry", []string{"reducer", "on", "doc"}, &l.errs)
	if m == nil || !m.required("reducer", "reducer: close(fd fd) declares one") {
		return
	}
	decl := m.scalar("reducer")
	if decl == nil {
		return
	}
	r := &Reducer{Pos: f.Pos(n), Any: m.oneOf("on", []string{"any"}) == "any", Doc: m.text("doc")}
	m.required("doc", "one line: what changes")
	if serr := l.parseReducer(r, decl.Value); serr != nil {
		l.errs.Add(l.in(f, decl, serr.off), m.subject, "%s", serr.msg)
		return
	}
	if old := l.reducers[r.Name]; old != nil {
		m.errorf(decl, "reducer %s is declared twice (first on line %d)", r.Name, old.Pos.Line)
		return
	}
	l.reducers[r.Name] = r
	l.table.Reducers = append(l.table.Reducers, r)
}

// parseReducer reads `dup(fd ret, fd oldfd, open_flags flags = 0)`.
func (l *loader) parseReducer(r *Reducer, src string) *sigError {
	toks, err := sigTokens(src)
	if err != nil {
		return err
	}
	if !expr.IsIdent(toks[0].text) {
		return sigErrorf(toks[0].off, "unexpected %s (a name is expected)", toks[0])
	}
	r.Name = toks[0].text
	if toks[1].text != "(" {
		return sigErrorf(toks[1].off, "unexpected %s (arguments in brackets are expected)", toks[1])
	}
	if toks[2].text == ")" {
		return sigEnd(toks, 3)
	}
	for i := 2; ; i++ {
		typ, name := toks[i], toks[i+1]
		if !expr.IsIdent(typ.text) || !expr.IsIdent(name.text) {
			return sigErrorf(typ.off, "argument %d has no type or no name (fd oldfd is expected)", len(r.Args)+1)
		}
		a := ReducerArg{Type: typ.text, Name: name.text}
		if a.namesSet() && l.sets[a.Type] == nil {
			known := slices.Sorted(maps.Keys(ReducerTypes))
			return sigErrorf(typ.off, "unknown type %s%s", a.Type, hint.DidYouMean(a.Type, slices.AppendSeq(known, maps.Keys(l.sets))))
		}
		if slices.ContainsFunc(r.Args, func(b ReducerArg) bool { return b.Name == a.Name }) {
			return sigErrorf(name.off, "argument %s is repeated", a.Name)
		}
		i += 2
		if toks[i].text == "=" {
			def := toks[i+1]
			if a.Default = def.text; def.text == "" || !expr.IsIdent(def.text) && def.text[0] < '0' {
				return sigErrorf(def.off, "unexpected %s (a constant is expected)", def)
			}
			i += 2
			if _, ok := l.stateConstant(a, constantNode(a.Default)); !ok {
				return sigErrorf(def.off, "%s is not a constant of type %s", a.Default, a.Type)
			}
		}
		r.Args = append(r.Args, a)
		switch end := toks[i]; end.text {
		case ")":
			return sigEnd(toks, i+1)
		case ",":
		default:
			return sigErrorf(end.off, "unexpected %s (, or ) is expected)", end)
		}
	}
}

// constantNode returns a default as an expression: a number or a name.
func constantNode(text string) *expr.Node {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return &expr.Node{Kind: expr.Int, Text: text, Num: n}
	}
	return &expr.Node{Kind: expr.Name, Text: text}
}

// stateConstant returns the value of a constant argument: a number, names of the
// argument's flag set, AT_FDCWD, a kind of descriptor, or empty for bytes.
func (l *loader) stateConstant(a ReducerArg, x *expr.Node) (int64, bool) {
	number := len(ReducerTypes[a.Type]) > 0 && l.typ(ReducerTypes[a.Type][0]).Number() || a.namesSet()
	switch {
	case x.Kind == expr.Int:
		return x.Num, number
	case x.Kind == expr.Neg && x.Args[0].Kind == expr.Int:
		return -x.Args[0].Num, number
	case isName(x, "AT_FDCWD"):
		return abi.AtFDCWD, a.Type == "fd"
	case isName(x, "empty"):
		return 0, !number && a.Type != fdType
	case x.Kind == expr.Name && a.Type == fdType:
		t, ok := numberOf(l.table.Types.FDTypes, x.Text)
		return int64(t), ok
	case x.Kind == expr.Name && a.namesSet():
		set := l.sets[a.Type]
		i := slices.IndexFunc(set.Values, func(v FlagValue) bool { return v.Name == x.Text })
		if i < 0 {
			return 0, false
		}
		return int64(set.Values[i].Value), true
	}
	return 0, false
}
