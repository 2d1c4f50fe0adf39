// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
)

// leaf is a compiled check. Equal checks of a group are one leaf.
type leaf struct {
	id   uint32
	left *source
	op   op

	test  test // of one value; nil: the value exists, or compare
	every bool // the test must hold for all values of a field with several

	right   *source
	compare compareFunc
	negate  bool // compare must not hold

	direct bool      // test, of the value of a field that nothing else of the group needs
	text   textEqual // test, if it is one: the most common one needs no call
}

// eval returns the result of evaluation gen, which is of ev.
func (l *leaf) eval(gen uint64, ev *sinsp.Event) bool {
	if l.direct {
		return l.holdsDirectly(ev)
	}
	return l.holds(gen, ev)
}

// holdsDirectly does what holds does, for a direct leaf.
func (l *leaf) holdsDirectly(ev *sinsp.Event) bool {
	v, ref := &l.left.v, l.left.ref
	if !ref.Extract(ev, &ref.Arg, v) {
		return false
	}
	if l.text != nil {
		return string(v.Str) == string(l.text)
	}
	return l.test.match(v)
}

func (l *leaf) holds(gen uint64, ev *sinsp.Event) bool {
	v, ok := l.left.get(gen, ev)
	switch {
	case !ok:
		return false
	case l.compare != nil:
		w, ok := l.right.get(gen, ev)
		return ok && l.compares(v, w)
	case l.test == nil:
		return true
	case l.left.many == field.One:
		return l.test.match(v)
	case l.every:
		for i := range v.List {
			if !l.test.match(&v.List[i]) {
				return false
			}
		}
		return len(v.List) > 0 || l.left.many == field.List
	}
	for i := range v.List {
		if l.test.match(&v.List[i]) {
			return true
		}
	}
	return false
}

// compares compares two values, each of which may be a list if the operator is in or
// intersects.
func (l *leaf) compares(v, w *field.Value) bool {
	if l.left.many == field.One {
		return l.among(v, w) != l.negate
	}
	for i := range v.List {
		if in := l.among(&v.List[i], w); in == (l.op == opIntersects) {
			return in
		}
	}
	return l.op != opIntersects
}

// among compares v with w, or with each element if w is a list.
func (l *leaf) among(v, w *field.Value) bool {
	if l.right.many == field.One {
		return l.compare(v, w)
	}
	for i := range w.List {
		if l.compare(v, &w.List[i]) {
			return true
		}
	}
	return false
}

// codes returns for which event codes the check may hold, and for which it always does.
func (l *leaf) codes() (can, must event.Set) {
	can = l.left.codes()
	sides := []*source{l.left}
	if l.right != nil {
		can = can.And(l.right.codes())
		sides = append(sides, l.right)
	}
	var ev event.Event
	var empty event.Builder
	sev := sinsp.Event{Event: &ev}
	for in := range event.All() {
		if !can.Has(in.Code) || slices.ContainsFunc(sides, func(s *source) bool { return !s.byCode(in.Code) }) {
			continue
		}
		empty.Begin(in.Code, 0, 0, 0)
		if raw, err := empty.End(); err != nil || ev.Reset(raw, 0) != nil {
			continue
		}
		if l.holds(uint64(in.Code)+1, &sev) {
			must.Add(in.Code)
		} else {
			can.Remove(in.Code)
		}
	}
	for _, s := range sides {
		s.forget()
	}
	return can, must
}

// ofCall reports whether the check depends on nothing but the call of an event.
func (l *leaf) ofCall() bool { return l.left.ofCall() && (l.right == nil || l.right.ofCall()) }

// leaf compiles a check; nil after an error.
func (c *compiler) leaf(chk *check) *leaf {
	if chk = c.expand(chk); chk == nil {
		return nil
	}
	left := c.source(&chk.left)
	var right *source
	if chk.right != nil {
		right = c.source(chk.right)
		if right == nil {
			return nil
		}
	}
	if left == nil || !c.allowed(chk, left) {
		return nil
	}
	l := &leaf{left: left, op: chk.op}
	switch {
	case chk.op == opExists:
	case right != nil:
		if !c.comparable(chk, left, right) {
			return nil
		}
		l.right, l.compare, l.negate = right, comparison(left.typ, chk.op), chk.op == opNotEqual
	default:
		if !c.constants(chk, l) {
			return nil
		}
	}
	key := chk.key(left, right)
	if old := c.leaves[key]; old != nil {
		return old
	}
	l.id = uint32(len(c.leaves))
	if l.direct = left.uses == 1 && left.ref != nil && left.many == field.One && l.test != nil; l.direct {
		left.alone = l
		l.text, _ = l.test.(textEqual)
	}
	c.leaves[key] = l
	return l
}

// expand returns a check whose words that are names of lists are replaced by the items;
// nil after an error.
func (c *compiler) expand(chk *check) *check {
	out := *chk // compiling changes it, and the same may be compiled again
	if c.scope.List == nil {
		return &out
	}
	out.values = nil
	for _, v := range chk.values {
		items, ok := []string(nil), false
		if !v.quoted {
			items, ok = c.scope.List(v.text)
		}
		if !ok {
			out.values = append(out.values, v)
			continue
		}
		if single := !chk.op.info().takesList && chk.mod == modNone; single && len(items) != 1 {
			c.errs.add(v.off, "list %s has %d items, %s takes one value (write in (%s), or %s anyof (%s))",
				v.text, len(items), chk.op.info().text, v.text, chk.op.info().text, v.text)
			return nil
		}
		for _, item := range items {
			out.values = append(out.values, constant{off: v.off, text: item, quoted: true})
		}
	}
	return &out
}

// key is the check as text, the same for equal checks only.
func (chk *check) key(left, right *source) string {
	var b strings.Builder
	b.WriteString(left.key)
	fmt.Fprintf(&b, " %s", chk.op.info().text)
	if chk.mod != modNone {
		fmt.Fprintf(&b, " %s", modifierTexts[chk.mod])
	}
	switch {
	case chk.op == opExists:
	case right != nil:
		if right.ref != nil {
			fmt.Fprintf(&b, " val(%s)", right.key)
		} else {
			fmt.Fprintf(&b, " %s", right.key)
		}
	case chk.op.info().takesList || chk.mod != modNone:
		texts := make([]string, len(chk.values))
		for i, v := range chk.values {
			texts[i] = quote(v.text)
		}
		fmt.Fprintf(&b, " (%s)", strings.Join(texts, ", "))
	default:
		fmt.Fprintf(&b, " %s", quote(chk.values[0].text))
	}
	return b.String()
}

// quote returns a constant as a filter has it.
func quote(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return r >= 0x7f || r <= ' ' || strings.ContainsRune(`()"'=,\`, r)
	}) {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// allowed reports whether the operator goes with the field, and says why not.
func (c *compiler) allowed(chk *check, left *source) bool {
	info := chk.op.info()
	if left.ref != nil && left.ref.Flags&field.Within != 0 {
		if chk.op == opEqual && chk.mod == modNone {
			chk.op = opLessEqual
			return true
		}
		c.errs.add(chk.opOff, "%s has no operator %s (known: =)", left.key, info.text)
		return false
	}
	if info.available(left.typ, left.many) {
		return true
	}
	known := OperatorsOf(left.typ, left.many)
	known = slices.DeleteFunc(known, func(text string) bool { return text == "==" }) // is =
	c.errs.add(chk.opOff, "%s is %s and has no operator %s (known: %s)", left.key, describe(left.typ, left.many), info.text, strings.Join(known, " "))
	return false
}

// comparable reports whether the two sides can be compared, and says why not.
func (c *compiler) comparable(chk *check, left, right *source) bool {
	at := chk.right.off
	for _, s := range []*source{left, right} {
		off := at
		if s == left {
			off = chk.left.off
		}
		if s.ref != nil && s.ref.Flags&field.NoCompare != 0 || s.many == field.Any || s.many == field.Ends {
			c.errs.add(off, "%s cannot be compared with another field", s.key)
			return false
		}
	}
	list := chk.op == opIn || chk.op == opIntersects
	switch {
	case chk.op == opPmatch || chk.op == opRegex || left.typ == field.Net || left.typ == field.Host:
		c.errs.add(chk.opOff, "%s needs constants", chk.op.info().text)
	case !sameKind(left.typ, right.typ):
		c.errs.add(at, "%s is %s, %s is %s", left.key, describe(left.typ, left.many), right.key, describe(right.typ, right.many))
	case right.many == field.List && !list:
		c.errs.add(at, "%s is a list (write in or intersects)", right.key)
	default:
		return true
	}
	return false
}

// sameKind reports whether values of the types can be compared with each other.
func sameKind(a, b field.Type) bool {
	whole := func(t field.Type) bool { return t == field.Int || t == field.Uint || t == field.Port }
	return a == b || whole(a) && whole(b)
}

// constants parses the constants of a check and makes its test.
func (c *compiler) constants(chk *check, l *leaf) bool {
	typ := l.left.typ
	list := chk.op.info().takesList || chk.mod != modNone
	before := len(c.errs)
	c.known(chk, l.left)
	all := values{lazy: c.scope.LazyHosts}
	var tests []test
	for _, k := range chk.values {
		c.suspicious(k)
		one := values{lazy: c.scope.LazyHosts}
		err := one.parse(typ, chk.op, k.text)
		if err == nil {
			switch {
			case chk.op == opPmatch:
				err = new(pathSet).add(k.text)
			case chk.mod != modNone || !list:
				var t test
				t, err = one.single(typ, chk.op)
				tests = append(tests, t)
			}
		}
		if err != nil {
			c.errs.add(k.off, "%s: %v", l.left.key, err)
			continue
		}
		all.texts = append(all.texts, one.texts...)
		all.nums = append(all.nums, one.nums...)
		all.addrs = append(all.addrs, one.addrs...)
		all.nets = append(all.nets, one.nets...)
		all.hosts = append(all.hosts, one.hosts...)
	}
	if len(c.errs) > before {
		return false
	}
	l.every = chk.op == opNotEqual && l.left.many == field.Ends || chk.op == opIn && l.left.many == field.List
	switch {
	case chk.op == opPmatch:
		set := &pathSet{}
		for _, text := range all.texts {
			_ = set.add(text) // was added once before
		}
		l.test = set
	case chk.op == opIn || chk.op == opIntersects || chk.op == opEqual && chk.mod == modAnyOf:
		l.test = all.member(typ)
	case chk.op == opNotEqual && chk.mod == modAllOf && len(chk.values) > 0:
		l.test = not{all.member(typ)}
	case chk.mod != modNone:
		l.test = &quantified{tests, chk.mod}
	default:
		l.test = tests[0]
	}
	return true
}

// known reports constants that a field is never equal to.
func (c *compiler) known(chk *check, left *source) {
	if left.ref == nil || left.ref.Constants == nil {
		return
	}
	switch chk.op {
	case opEqual, opNotEqual, opIn, opIntersects:
		known := left.ref.Constants()
		for _, k := range chk.values {
			if !slices.Contains(known, k.text) {
				c.errs.addKind(UnknownProblem, k.off, "%s is never %q%s", left.key, k.text, hint.DidYouMean(k.text, known))
			}
		}
	}
}

// suspicious warns of a constant that looks like something else.
func (c *compiler) suspicious(k constant) {
	if field.All()[k.text] != nil {
		c.warn.add(k.off, "%q is a constant here, and the name of a field (for the value of the field write val(%s))", k.text, k.text)
	}
	name, _, call := strings.Cut(k.text, "(")
	if call && (name == "val" || findTransformer(name) != nil) {
		c.warn.add(k.off, "%q is a constant here (for the value of the transformer write it without quotes)", k.text)
	}
}
