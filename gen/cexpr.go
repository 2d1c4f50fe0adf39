// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

// body translates the params of an event into C.
type body struct {
	m      *model
	ev     *event
	args   []tables.CParam
	consts map[string]bool // the native constants that the C text names
	out    strings.Builder
	depth  int
}

// fillerBody returns the text between the braces of fill_<symbol>.
func (m *model) fillerBody(e *event, consts map[string]bool) (string, error) {
	b := &body{m: m, ev: e, consts: consts, depth: 1}
	if len(e.calls) > 0 {
		b.args = e.calls[0].Params
	}
	for i := 0; i < len(e.Params); {
		run := e.Params[i : i+1]
		for b.branches(run[0]) && i+len(run) < len(e.Params) && b.branches(e.Params[i+len(run)]) &&
			sameWhen(run[0], e.Params[i+len(run)]) {
			run = e.Params[i : i+len(run)+1]
		}
		if err := b.params(run); err != nil {
			return "", err
		}
		i += len(run)
	}
	b.line("return 0;")
	return readOnce(b.out.String()), nil
}

// paramText returns the C statements that send one param of an event.
func (m *model) paramText(e *event, i int) (string, error) {
	b := &body{m: m, ev: e, consts: make(map[string]bool)}
	if len(e.calls) > 0 {
		b.args = e.calls[0].Params
	}
	if e.Filler == "manual" {
		return "", nil
	}
	err := b.params(e.Params[i : i+1])
	return b.out.String(), err
}

// userRead is a read of user memory at an argument, or a look at the descriptor that the call made.
var userRead = regexp.MustCompile(`\buser_([us])\w+\((?:f, )?f->arg\[\d\](?:, \d+)+\)|\bnew_fd\(f, f->ret\)`)

// readOnce reads what several params need, such as the size of an extensible struct, into
// a variable at the start: a read costs a helper call, and two could differ.
func readOnce(text string) string {
	count := make(map[string]int)
	var again []string
	for _, read := range userRead.FindAllString(text, -1) {
		if count[read]++; count[read] == 2 {
			again = append(again, read)
		}
	}
	var decl strings.Builder
	for i, read := range again {
		name := fmt.Sprintf("read%d", i)
		fmt.Fprintf(&decl, "\t%s64 %s = %s;\n", cmp.Or(userRead.FindStringSubmatch(read)[1], "s"), name, read)
		text = strings.ReplaceAll(text, read, name)
	}
	if decl.Len() == 0 {
		return text
	}
	return decl.String() + "\n" + text
}

// failed wraps an error with the place and name of the param.
func (b *body) failed(p *tables.Param, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%v: %s: %s: %w", p.Pos, b.ev.Symbol, p.Name, err)
}

func (b *body) line(format string, args ...any) {
	for range b.depth {
		b.out.WriteByte('\t')
	}
	fmt.Fprintf(&b.out, format, args...)
	b.out.WriteByte('\n')
}

// branches reports whether a param needs an if. Two numbers do not: one push chooses
// between them, so that the offset stays a constant.
func (b *body) branches(p *tables.Param) bool {
	w, _ := b.m.wire(p.Type)
	number := w.size > 0 && p.Else != nil && p.Switch == nil && !isName(p.Else, "empty") && !b.isPush(p.From)
	return len(p.When) > 0 && !number
}

func sameWhen(p, q *tables.Param) bool {
	return slices.EqualFunc(p.When, q.When, func(a, b tables.Cond) bool {
		return a.Var == b.Var && a.Op == b.Op && slices.EqualFunc(a.In, b.In, expr.Equal)
	})
}

// params sends one param, or several that have the same condition.
func (b *body) params(run []*tables.Param) error {
	p := run[0]
	if len(p.When) == 0 {
		return b.failed(p, b.source(p, p.From))
	}
	cond, err := b.conds(p.When)
	if err != nil {
		return b.failed(p, err)
	}
	if !b.branches(p) {
		return b.failed(p, b.choice(p, cond))
	}
	yes, err := b.arm(run, func(p *tables.Param) error { return b.source(p, p.From) })
	if err != nil {
		return err
	}
	no, err := b.arm(run, b.otherwise)
	if err != nil {
		return err
	}
	if strings.Count(yes, "\n") > 1 || strings.Count(no, "\n") > 1 {
		b.line("if (%s) {", cond)
		b.out.WriteString(yes)
		b.line("} else {")
		b.out.WriteString(no)
		b.line("}")
		return nil
	}
	b.line("if (%s)", cond)
	b.out.WriteString(yes)
	b.line("else")
	b.out.WriteString(no)
	return nil
}

// arm writes the statements of one branch of an if.
func (b *body) arm(run []*tables.Param, send func(*tables.Param) error) (string, error) {
	before := b.out.String()
	b.out.Reset()
	b.depth++
	for _, p := range run {
		if err := send(p); err != nil {
			return "", b.failed(p, err)
		}
	}
	b.depth--
	text := b.out.String()
	b.out.Reset()
	b.out.WriteString(before)
	return text, nil
}

// otherwise sends the value of a param whose condition does not hold.
func (b *body) otherwise(p *tables.Param) error {
	if p.Else == nil {
		b.line("push_empty(f);")
		return nil
	}
	typ, variant := p.Type, -1
	if p.Switch != nil && p.Dyn != "" { // in the variant of the last arm that has one
		for _, a := range p.Switch.Arms {
			typ = cmp.Or(a.Dyn, typ)
		}
		variant = b.m.variant(p.Dyn, typ)
	}
	return b.send(p, typ, p.Else, variant)
}

// choice sends one of two numbers.
func (b *body) choice(p *tables.Param, cond string) error {
	w, _ := b.m.wire(p.Type)
	yes, err := b.value(p.From, w)
	if err != nil {
		return err
	}
	no, err := b.value(p.Else, w)
	if err != nil {
		return err
	}
	text := no.text
	if !literal(p.Else) {
		text = unify(no, w)
	}
	b.line("%s(f, %s ? %s : %s);", w.push, cond, unify(yes, w), text)
	return nil
}

// source sends the value of a param whose condition holds.
func (b *body) source(p *tables.Param, from *expr.Node) error {
	if p.Switch == nil {
		return b.send(p, p.Type, from, -1)
	}
	if only := p.Switch.Arms[0]; len(only.Values) == 0 { // the same for every value
		if p.Dyn != "" {
			return b.send(p, only.Dyn, only.From, b.m.variant(p.Dyn, only.Dyn))
		}
		return b.send(p, p.Type, only.From, -1)
	}
	_, on := b.ev.param(p.Switch.On)
	if on == nil {
		return fmt.Errorf("switch on unknown param %s", p.Switch.On)
	}
	w, _ := b.m.wire(on.Type)
	sel, err := b.value(on.From, w)
	if err != nil {
		return err
	}
	b.line("switch ((%s)%s) {", w.c, operand(sel))
	for _, arm := range p.Switch.Arms {
		if len(arm.Values) == 0 {
			b.line("default:")
		}
		for _, v := range arm.Values {
			n, err := b.m.wireValue(on.Names, v)
			if err != nil {
				return err
			}
			if v.Kind == expr.Name {
				b.line("case %d: /* %s */", n, v.Text)
			} else {
				b.line("case %d:", n)
			}
		}
		b.depth++
		typ, variant := p.Type, -1
		if p.Dyn != "" && !isName(arm.From, "empty") {
			if variant = b.m.variant(p.Dyn, arm.Dyn); variant < 0 {
				return fmt.Errorf("%s is not a variant of %s", arm.Dyn, p.Dyn)
			}
			typ = arm.Dyn
		}
		if err := b.send(p, typ, arm.From, variant); err != nil {
			return err
		}
		b.line("break;")
		b.depth--
	}
	b.line("}")
	return nil
}

// send writes the statement that pushes a value of type typ; variant is the index
// byte of a dyn param, or -1.
func (b *body) send(p *tables.Param, typ string, from *expr.Node, variant int) error {
	w, ok := b.m.wire(typ)
	dyn, first := "", ""
	if variant >= 0 {
		dyn, first = "dyn_", fmt.Sprintf("%d, ", variant)
	}
	switch {
	case !ok:
		return fmt.Errorf("unknown type %s", typ)
	case from == nil:
		return fmt.Errorf("no source")
	case isName(from, "empty"):
		b.line("push_empty(f);")
		return nil
	case b.isPush(from):
		call, err := b.call(from, "push_"+from.Text, true)
		if err != nil {
			return err
		}
		if b.m.helpers[from.Text].Rest {
			call = fmt.Sprintf("%s, %d)", strings.TrimSuffix(call, ")"), b.after(p))
		}
		b.line("%s;", call)
		return nil
	case from.Kind == expr.Str:
		if from.Text != "" {
			return fmt.Errorf("the only string literal is the empty one")
		}
		b.line("push_str_lit_empty(f);")
		return nil
	case p.Len != nil && (typ == "bytebuf" || typ == "sockaddr" || typ == "charbufarray"):
		ptr, err := b.value(from, wire{})
		if err != nil {
			return err
		}
		n, err := b.value(p.Len, wire{})
		if err != nil {
			return err
		}
		switch {
		case typ == "sockaddr":
			b.line("push_sockaddr(f, %s, %s);", ptr.text, n.text)
		case p.Snaplen:
			b.line("push_%suser_data(f, %s%s, %s, %s, %d);", dyn, first, ptr.text, n.text, b.fd(), b.after(p))
		default:
			b.line("push_%suser_buf(f, %s%s, %s, %d);", dyn, first, ptr.text, n.text, b.after(p))
		}
		return nil
	case w.push == "":
		return fmt.Errorf("type %s needs a param helper or a len", typ)
	}
	v, err := b.value(from, w)
	if err != nil {
		return err
	}
	b.line("%s(f, %s%s);", strings.Replace(w.push, "push_", "push_"+dyn, 1), first, v.text)
	return nil
}

// after returns how many bytes the params after p may take.
func (b *body) after(p *tables.Param) int { return b.ev.after[slices.Index(b.ev.Params, p)] }

// fd returns the descriptor whose ports may raise the snap length, or -1.
func (b *body) fd() string {
	if i := b.ev.FDParam; i >= 0 && i < len(b.ev.Params) {
		if from := b.ev.Params[i].From; from != nil && from.Kind == expr.Name {
			if v, err := b.value(from, wire{size: 8, c: "s64", low: true}); err == nil {
				return v.text
			}
		}
	}
	return "-1"
}

// isPush reports whether from calls a param helper, which pushes by itself.
func (b *body) isPush(from *expr.Node) bool {
	if from == nil || from.Kind != expr.Call {
		return false
	}
	h := b.m.helpers[from.Text]
	return h != nil && h.Kind == "param"
}

// cvalue is a C expression. A plain one needs no parentheses as an operand.
type cvalue struct {
	text  string
	plain bool
	bits  int // bits of a register argument that was cut; else 64
	sign  bool
}

func operand(v cvalue) string {
	if v.plain {
		return v.text
	}
	return "(" + v.text + ")"
}

// unify casts an arm of a conditional to the wire type: C's own rules would turn a
// negative s32 into a large u64.
func unify(v cvalue, w wire) string { return fmt.Sprintf("(%s)%s", w.c, operand(v)) }

// literal reports whether a source is a plain number, which fits any type.
func literal(n *expr.Node) bool {
	return n.Kind == expr.Int || n.Kind == expr.Neg && n.Args[0].Kind == expr.Int
}

// value translates a source into a C value for wire type w; the zero wire means
// that the value is a u64 argument of a helper.
func (b *body) value(n *expr.Node, w wire) (cvalue, error) {
	switch n.Kind {
	case expr.Int:
		return cvalue{text: cInt(n), plain: true, bits: 64}, nil
	case expr.Name:
		return b.name(n, w)
	case expr.Neg:
		v, err := b.value(n.Args[0], w)
		return cvalue{text: "-" + operand(v), bits: 64}, err
	case expr.Not:
		v, err := b.value(n.Args[0], w)
		return cvalue{text: "~" + operand(v), bits: 64}, err
	case expr.Call:
		h := b.m.helpers[n.Text]
		set := b.m.sets[n.Text]
		switch {
		case h != nil && h.Kind == "value":
			text, err := b.call(n, n.Text, h.Filler)
			return cvalue{text: text, plain: true, bits: 64}, err
		case set != nil && set.Kind != "":
			text, err := b.call(n, n.Text, false)
			return cvalue{text: text, plain: true, bits: 64}, err
		case h != nil:
			return cvalue{}, fmt.Errorf("%s sends a param by itself and cannot be part of an expression", n.Text)
		}
		return cvalue{}, fmt.Errorf("unknown helper %s", n.Text)
	case expr.Or, expr.Add, expr.Sub, expr.Mul, expr.Shl:
		op := map[expr.Kind]string{expr.Or: " | ", expr.Add: " + ", expr.Sub: " - ", expr.Mul: " * ", expr.Shl: " << "}[n.Kind]
		parts := make([]string, len(n.Args))
		for i, a := range n.Args {
			v, err := b.value(a, wire{})
			if err != nil {
				return cvalue{}, err
			}
			parts[i] = operand(v)
			if v.bits < 64 && n.Kind != expr.Or {
				parts[i] = "(u64)" + parts[i]
			}
		}
		return cvalue{text: strings.Join(parts, op), bits: 64}, nil
	}
	return cvalue{}, fmt.Errorf("an expression of this kind is not a source")
}

// name translates ret, an argument or a constant.
func (b *body) name(n *expr.Node, w wire) (cvalue, error) {
	if n.Text == "ret" {
		return cvalue{text: "f->ret", plain: true, bits: 64, sign: true}, nil
	}
	for i, a := range b.args {
		if a.Name != n.Text {
			continue
		}
		text := fmt.Sprintf("f->arg[%d]", i)
		bits, signed := tables.RegisterBits(a.Type)
		if w.low {
			bits, signed = 32, true // -1 stays -1, also as an unsigned int or a long
		}
		// The upper half of a register that holds an int is undefined.
		if bits == 64 || w.size != 0 && w.size*8 <= bits {
			return cvalue{text: text, plain: true, bits: 64}, nil
		}
		c := map[bool]string{true: "s", false: "u"}[signed] + strconv.Itoa(bits)
		return cvalue{text: "(" + c + ")" + text, plain: true, bits: bits, sign: signed}, nil
	}
	if _, ok := b.m.constant(n.Text); ok {
		b.consts[n.Text] = true
		return cvalue{text: "N_" + n.Text, plain: true, bits: 64}, nil
	}
	return cvalue{}, fmt.Errorf("unknown name %s", n.Text)
}

// call returns a function call; withFiller passes f first.
func (b *body) call(n *expr.Node, name string, withFiller bool) (string, error) {
	args := make([]string, 0, len(n.Args)+1)
	if withFiller {
		args = append(args, "f")
	}
	for _, a := range n.Args {
		v, err := b.value(a, wire{})
		if err != nil {
			return "", err
		}
		args = append(args, v.text)
	}
	return name + "(" + strings.Join(args, ", ") + ")", nil
}

// conds returns the C condition of `when`.
func (b *body) conds(conds []tables.Cond) (string, error) {
	var all []string
	for _, c := range conds {
		if c.Op == "readable" {
			v, err := b.value(c.In[0], wire{})
			if err != nil {
				return "", err
			}
			all = append(all, v.text)
			continue
		}
		v, err := b.name(&expr.Node{Kind: expr.Name, Text: c.Var}, wire{})
		if err != nil {
			return "", err
		}
		op := c.Op
		if op == "in" || op == "" {
			op = "=="
		}
		var either []string
		for _, in := range c.In {
			bound, err := b.value(in, wire{})
			if err != nil {
				return "", err
			}
			either = append(either, fmt.Sprintf("%s %s %s", v.text, op, bound.text))
		}
		text := strings.Join(either, " || ")
		if len(either) > 1 && len(conds) > 1 {
			text = "(" + text + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, " && "), nil
}

func cInt(n *expr.Node) string {
	switch {
	case strings.HasPrefix(n.Text, "0x"), strings.HasPrefix(n.Text, "0X"):
		return n.Text
	case n.Num < 0:
		return strconv.FormatUint(uint64(n.Num), 10) + "ULL"
	case n.Num > 1<<31-1:
		return strconv.FormatInt(n.Num, 10) + "LL"
	}
	return strconv.FormatInt(n.Num, 10)
}

// wireValue returns the event value of a name of a flag set, or of a plain number.
func (m *model) wireValue(set string, n *expr.Node) (uint64, error) {
	if n.Kind == expr.Int {
		return uint64(uint32(n.Num)), nil
	}
	if s := m.sets[set]; s != nil && n.Kind == expr.Name {
		if i := slices.IndexFunc(s.Values, func(v tables.FlagValue) bool { return v.Name == n.Text }); i >= 0 {
			return s.Values[i].Value, nil
		}
	}
	return 0, fmt.Errorf("%s is not a value of %s", n.Text, set)
}

// constant looks up a native constant: one of a flag set, or an errno.
func (m *model) constant(name string) (native, bool) {
	if n, ok := m.natives[name]; ok {
		return n, true
	}
	if e, ok := m.table.Types.Errno(name); ok {
		return native{value: e, all: true}, true
	}
	return native{}, false
}
