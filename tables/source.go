// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// source checks the expressions that fillers are generated from.
type source struct {
	l       *loader
	ctx     *context
	subject string
	names   string // flag set of the param
	bytes   bool   // the param sends what the source points to
	list    bool   // the param is a list of numbers
}

func (s *source) errorf(n *expr.Node, format string, args ...any) {
	s.l.errs.Add(n.Pos, s.subject, format, args...)
}

// check walks a source; whole: a param helper, empty or "" is allowed here.
func (s *source) check(n *expr.Node, whole bool) {
	if n == nil {
		return
	}
	switch n.Kind {
	case expr.Int:
	case expr.Neg:
		if a := n.Args[0]; a.Kind == expr.Name && s.l.isErrno(a.Text) {
			return
		}
		s.check(n.Args[0], false)
	case expr.Name:
		s.name(n, whole)
	case expr.Str:
		if n.Text != "" || !whole {
			s.errorf(n, `text in a source (only the empty string "" can be sent)`)
		}
	case expr.Or, expr.Not, expr.Add, expr.Sub, expr.Mul, expr.Shl:
		for _, a := range n.Args {
			s.check(a, false)
		}
	case expr.Call:
		if n.Text == "each" && s.ctx.group == "" {
			s.member(n)
		} else {
			s.call(n, whole)
		}
	case expr.Member, expr.Elem:
		if s.ctx.group == "" { // in a group the arguments are not known yet
			s.member(n)
		}
	default:
		s.errorf(n, "a %s cannot be a source (ret, an argument, a number, a constant, a helper of those)", n.Kind)
	}
}

func (s *source) name(n *expr.Node, whole bool) {
	arg, _ := s.ctx.arg(n.Text)
	switch {
	case arg != nil:
	case n.Text == "ret":
		if s.ctx.enter {
			s.errorf(n, "an enter event has no ret")
		} else if s.ctx.sys == nil && s.ctx.group == "" {
			s.errorf(n, "ret outside a syscall")
		}
	case n.Text == "empty":
		if !whole {
			s.errorf(n, "empty inside an expression (it is a whole source)")
		}
	case s.l.isConstant(n.Text):
	case s.ctx.group != "": // an argument of the entries that use it
	default:
		known := []string{"ret", "empty"}
		for _, a := range s.ctx.args() {
			known = append(known, a.Name)
		}
		suggestion := hint.DidYouMean(n.Text, known)
		if !strings.Contains(suggestion, "did you mean") {
			if h := hint.DidYouMean(n.Text, s.l.constants()); strings.Contains(h, "did you mean") {
				suggestion = h
			}
		}
		s.errorf(n, "unknown name %s%s", n.Text, suggestion)
	}
}

// isConstant reports whether name has a native value in flags.yaml, or is AT_FDCWD,
// which is in no set.
func (l *loader) isConstant(name string) bool { return l.natives[name] || name == "AT_FDCWD" }

// constants returns the names with a native value, sorted.
func (l *loader) constants() []string {
	if l.nativeNames == nil {
		l.nativeNames = slices.Sorted(maps.Keys(l.natives))
	}
	return l.nativeNames
}

func (s *source) call(n *expr.Node, whole bool) {
	for _, a := range n.Args {
		s.check(a, false)
	}
	h := s.l.helpers["value"][n.Text]
	if set := s.l.sets[n.Text]; set != nil && set.Kind != "" && h == nil {
		if len(n.Args) != 1 {
			s.errorf(n, "conversion %s has 1 argument, not %d", n.Text, len(n.Args))
		} else if bits := s.l.bitsOf(n.Args[0], s.ctx); set.Kind == "identity" && bits == 64 && set.Width < bits && !s.ctx.fixed {
			s.errorf(n, "conversion %s keeps %d bits of a source of %d (width: %d in flags.yaml, and type flags%d, keep all)", n.Text, set.Width, bits, bits, bits)
		}
		return
	}
	if h == nil {
		if h = s.l.helpers["param"][n.Text]; h != nil && !whole {
			s.errorf(n, "param helper %s inside a source (it sends a whole param)", n.Text)
			return
		}
	}
	if set := s.l.sets[n.Text]; h == nil && set != nil {
		s.errorf(n, "flag set %s converts nothing (kind: bits, mask, enum, identity or manual makes it a conversion)", n.Text)
		return
	}
	if h == nil && (strings.HasSuffix(n.Text, "_flags") || s.names == n.Text) {
		s.errorf(n, "unknown flag set %s%s", n.Text, hint.DidYouMean(n.Text, s.l.sourceNames()))
		return
	}
	if h == nil {
		s.errorf(n, "unknown helper %s%s", n.Text, hint.DidYouMean(n.Text, s.l.sourceNames()))
		return
	}
	s.l.arity(n, h, s.subject)
}

// sourceNames lists what a source may call.
func (l *loader) sourceNames() []string {
	names := slices.Collect(maps.Keys(l.helpers["value"]))
	names = slices.AppendSeq(names, maps.Keys(l.helpers["param"]))
	for _, set := range l.sets {
		if set.Kind != "" {
			names = append(names, set.Name)
		}
	}
	slices.Sort(names)
	return names
}

// arity compares a call with the declaration.
func (l *loader) arity(n *expr.Node, h *Helper, subject string) {
	least, most := h.Arity()
	if len(n.Args) < least || most >= 0 && len(n.Args) > most {
		l.errs.Add(n.Pos, subject, "%s has %d argument%s (%s is declared)", n.Text, len(n.Args), plural(len(n.Args)), h)
	}
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// constant reports whether n is a number, a constant or an errno, possibly negative.
func (l *loader) constant(n *expr.Node, subject string) bool {
	x := n
	if n.Kind == expr.Neg {
		x = n.Args[0]
	}
	switch {
	case x.Kind == expr.Int:
		return true
	case x.Kind == expr.Name && (l.isErrno(x.Text) || l.isConstant(x.Text)):
		return true
	case x.Kind == expr.Name && n.Kind == expr.Neg:
		l.errs.Add(x.Pos, subject, "unknown errno %s%s", x.Text, hint.DidYouMean(x.Text, names(l.table.Types.Errnos...)))
	case x.Kind == expr.Name:
		l.errs.Add(x.Pos, subject, "unknown constant %s%s", x.Text, hint.DidYouMean(x.Text, l.constants()))
	default:
		l.errs.Add(x.Pos, subject, "a %s is not a constant (a number or a name is expected)", x.Kind)
	}
	return false
}

// shape checks that the source of a param fits its type.
func (l *loader) shape(p *Param, m *mapping, ctx *context) {
	t := l.typ(p.Type)
	if p.Len != nil && t.As != "bytes" && p.Type != "charbufarray" {
		m.errorf(m.byKey["len"], "len on type %s (bytebuf, charbufarray and sockaddr have one)", p.Type)
	}
	if p.Snaplen && p.Type != "bytebuf" {
		m.errorf(m.byKey["snaplen"], "snaplen on type %s (only bytebuf is cut)", p.Type)
	}
	if p.Dyn != "" && p.Type != "dyn" {
		m.errorf(m.byKey["dyn"], "dyn on type %s (it names the variants of type dyn)", p.Type)
	}
	if p.Type == "dyn" && p.Dyn == "" {
		m.errorf(m.node, "dyn is missing (%s)", strings.Join(l.table.Types.dynNames(), ", "))
	}
	if p.Base != "" && p.Type != "fsrelpath" {
		m.errorf(m.byKey["base"], "base on type %s (only fsrelpath has one)", p.Type)
	}
	if strings.HasPrefix(p.Type, "flags") || strings.HasPrefix(p.Type, "enumflags") || p.Type == "mode" {
		if p.Names == "" && !m.has("names") {
			m.errorf(m.node, "names is missing (type %s needs its flag set)", p.Type)
		}
	} else if p.Names != "" && !t.Number() && p.Type != "numbers" {
		m.errorf(m.byKey["names"], "names on type %s (only numbers have named values)", p.Type)
	}
	if p.Names != "" && p.From != nil && p.From.Kind == expr.Name {
		if arg, _ := ctx.arg(p.From.Text); arg != nil {
			if bits, _ := RegisterBits(arg.Type); t.Number() && bits > 8*t.Size {
				l.errs.Add(p.From.Pos, m.subject, "type %s keeps %d bits of %s, which has %d (a conversion of flags.yaml names the ones that count)",
					p.Type, 8*t.Size, arg.Name, bits)
			}
		}
	}
	l.keepsFlags(p, p.From, m, ctx)
	l.fits(p, p.From, m)
	if p.Switch != nil {
		for _, arm := range p.Switch.Arms {
			l.fits(p, arm.From, m)
		}
	}
	if p.Else != nil {
		l.fits(p, p.Else, m)
	}
}

// keepsFlags checks that a param with named values does not cut the bits of its source:
// unknown bits are a number in events, never dropped.
func (l *loader) keepsFlags(p *Param, from *expr.Node, m *mapping, ctx *context) {
	t := l.typ(p.Type)
	if p.Names == "" || !t.Number() || ctx.fixed {
		return
	}
	if set := l.sets[p.Names]; set.Width == 64 && t.Size < 8 {
		m.errorf(m.byKey["names"], "names of 64 bits for type %s of %d (flags64 keeps all)", p.Type, 8*t.Size)
		return
	}
	if from == nil || from.Kind == expr.Name { // an argument is checked by its C type
		return
	}
	if bits := l.bitsOf(from, ctx); bits > 8*t.Size {
		l.errs.Add(from.Pos, m.subject, "type %s keeps %d bits of a source of %d (flags%d keeps all)", p.Type, 8*t.Size, bits, bits)
	}
}

// bitsOf returns how many bits the value of a source may have, as far as the table says
// so: of arguments, of what is read from memory, and of conversions; 0 of anything else.
func (l *loader) bitsOf(n *expr.Node, ctx *context) int {
	switch n.Kind {
	case expr.Name:
		if arg, _ := ctx.arg(n.Text); arg != nil {
			bits, _ := RegisterBits(arg.Type)
			return bits
		}
	case expr.Or, expr.Mul: // a product is a value or 0
		most := 0
		for _, a := range n.Args {
			most = max(most, l.bitsOf(a, ctx))
		}
		return most
	case expr.Call:
		if set := l.sets[n.Text]; set != nil {
			return set.Width
		}
		return readBits[n.Text]
	}
	return 0
}

// readBits are the widths of the helpers that member accesses become.
var readBits = map[string]int{"user_u8": 8, "user_u16": 16, "user_s16": 16, "user_u32": 32, "user_s32": 32, "user_u64": 64}

func (l *loader) fits(p *Param, from *expr.Node, m *mapping) {
	if from == nil || isName(from, "empty") {
		return
	}
	t := l.typ(p.Type)
	sends := from.Kind == expr.Call && l.helpers["param"][from.Text] != nil && l.helpers["value"][from.Text] == nil
	switch {
	case from.Kind == expr.Str:
		if t.As != "text" && from.Text == "" {
			l.errs.Add(from.Pos, m.subject, "text for type %s (charbuf and paths are text)", p.Type)
		}
	case p.Type == "dyn": // checked with the variant
	case sends && t.Number():
		l.errs.Add(from.Pos, m.subject, "param helper %s for type %s (a number needs a value helper)", from.Text, p.Type)
	case sends:
	case p.Type == "charbufarray" && p.Len != nil:
	case t.As == "bytes" && p.Len == nil && p.From == from:
		l.errs.Add(from.Pos, m.subject, "len is missing (how many bytes of type %s are there)", p.Type)
	case t.As == "other":
		l.errs.Add(from.Pos, m.subject, "a number for type %s (a param helper is expected)", p.Type)
	}
}

// checkParam checks a param against the other params of its event.
func (l *loader) checkParam(p *Param, at map[string]*Param, subject string) {
	names := func() []string { return slices.Sorted(maps.Keys(at)) }
	if p.Type == "fsrelpath" {
		switch base := at[p.Base]; {
		case p.Base == "":
			l.errs.Add(p.Pos, subject, "base is missing (fsrelpath starts from the directory in param base)")
		case base == nil:
			l.errs.Add(p.Pos, subject, "base names no param %s%s", p.Base, hint.DidYouMean(p.Base, names()))
		case base.Type != "fd":
			l.errs.Add(p.Pos, subject, "base names param %s of type %s (fd is expected)", p.Base, base.Type)
		}
	}
}

func (s *FlagSet) has(name string) bool {
	return slices.ContainsFunc(s.Values, func(v FlagValue) bool { return v.Name == name })
}

func (s *FlagSet) names() []string {
	names := make([]string, len(s.Values))
	for i, v := range s.Values {
		names[i] = v.Name
	}
	return names
}
