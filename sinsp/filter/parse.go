// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"
	"strings"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/sinsp/field"
)

// maxDepth is how deep parentheses, not and transformers may be nested.
const maxDepth = 1000

// kind is the kind of a tree.
type kind uint8

const (
	kindAnd   kind = iota + 1 // of all kids
	kindOr                    // of all kids
	kindNot                   // of kids[0]
	kindCheck                 // check
	kindName                  // name, of a macro
)

// tree is a part of a filter that is true or false.
type tree struct {
	kind  kind
	off   int
	kids  []*tree
	check *check
	name  string
}

// check compares a field with constants or with another field.
type check struct {
	left  operand
	op    op
	opOff int
	mod   modifier

	right  *operand   // nil: values
	values []constant // one, or those of a list
}

// operand is a field, or a transformer with its arguments.
type operand struct {
	off  int
	kind operandKind
	ref  field.Ref // operandField
	name string    // operandCall: of the transformer
	args []operand // operandCall, operandList
	text string    // operandNumber, operandString

	selector    string // operandCall: the argument in brackets
	selectorOff int    // 0: there is none
}

type operandKind uint8

const (
	operandField  operandKind = iota + 1
	operandCall               // a transformer
	operandNumber             // a constant argument of a transformer
	operandString             // the same
	operandList               // the same: fields, transformers and constants
	operandBad                // an error was reported
)

// parser reads a filter:
//
//	filter    = or
//	or        = and {"or" and}
//	and       = not {"and" not}
//	not       = {"not"} ( "(" or ")" | check )
//	check     = operand "exists"
//	          | operand comparison ( right | constant )
//	          | operand comparison modifier list
//	          | operand "in" | "intersects" | "pmatch" ( list | right | name )
//	operand   = field | transformer
//	right     = "val(" field ")" | transformer
//	list      = "(" [constant {"," constant}] ")"
type parser struct {
	lexer
	depth int
}

// parse returns the expression that text is, without the parts that are wrong, and
// all errors of syntax. The expression is nil if nothing is left.
func parse(text string) (*tree, problems) {
	p := parser{lexer: lexer{src: text}}
	p.blanks()
	if p.pos == len(text) {
		p.errs.add(0, "the filter is empty (such as proc.name = cat)")
		return nil, p.errs
	}
	e := p.or()
	for p.pos < len(text) {
		// or stops at what it does not know.
		if p.peek() == ')' {
			p.errs.add(p.pos, "a ) without its (")
			p.pos++
		} else {
			p.unexpected()
			p.sync()
		}
		p.blanks()
		if p.connective() {
			more := p.or()
			e = join(kindAnd, p.pos, e, more)
		}
	}
	return e, p.errs
}

// connective skips "and" and "or", after an error.
func (p *parser) connective() bool { return p.keyword("and") || p.keyword("or") }

// join returns the conjunction or disjunction of what is not nil.
func join(k kind, off int, kids ...*tree) *tree {
	e := &tree{kind: k, off: off}
	for _, kid := range kids {
		if kid != nil {
			e.kids = append(e.kids, kid)
		}
	}
	switch len(e.kids) {
	case 0:
		return nil
	case 1:
		return e.kids[0]
	}
	return e
}

func (p *parser) or() *tree { return p.chain("or", kindOr, p.and) }

func (p *parser) and() *tree { return p.chain("and", kindAnd, p.not) }

// chain reads one or more terms with a word between them.
func (p *parser) chain(word string, k kind, term func() *tree) *tree {
	off := p.pos
	kids := []*tree{term()}
	for {
		p.blanks()
		if !p.keyword(word) {
			break
		}
		if c := p.peek(); c != 0 && c != '(' && !isBlank(c) {
			p.errs.add(p.pos, "expected a blank or ( after %q", word)
		}
		kids = append(kids, term())
	}
	return join(k, off, kids...)
}

func (p *parser) not() *tree {
	p.blanks()
	off := p.pos
	if p.word() == "not" {
		if after := p.src[p.pos+len("not"):]; after != "" && (isBlank(after[0]) || after[0] == '(') {
			p.pos += len("not")
			e, ok := p.nested(p.not)
			if !ok || e == nil {
				return nil
			}
			return &tree{kind: kindNot, off: off, kids: []*tree{e}}
		}
	}
	if p.accept("(") {
		e, ok := p.nested(p.or)
		if !ok {
			return nil
		}
		p.blanks()
		if !p.accept(")") {
			if p.pos < len(p.src) {
				p.unexpected()
				p.sync()
				p.blanks()
				if p.connective() {
					p.or()
				}
			}
			if !p.accept(")") {
				p.errs.add(off, "the ( is not closed")
			}
		}
		return e
	}
	before := len(p.errs)
	c, name := p.check()
	switch {
	case c != nil:
		return &tree{kind: kindCheck, off: off, check: c}
	case name != "":
		return &tree{kind: kindName, off: off, name: name}
	}
	if len(p.errs) == before {
		p.unexpected()
	}
	p.syncFrom(off)
	return nil
}

// nested reads a part one level deeper.
func (p *parser) nested(part func() *tree) (e *tree, ok bool) {
	if p.depth == maxDepth {
		p.errs.add(p.pos, "nested too deep (%d levels are the limit)", maxDepth)
		p.pos = len(p.src)
		return nil, false
	}
	p.depth++
	e = part()
	p.depth--
	return e, true
}

// unexpected reports what comes next.
func (p *parser) unexpected() {
	if p.pos == len(p.src) {
		p.errs.add(p.pos, "a field or ( is missing at the end (such as proc.name = cat)")
		return
	}
	s := p.rest()
	n := 1
	for n < len(s) && isBare(s[n]) && isBare(s[0]) {
		n++
	}
	why := "expected and, or, ) or the end"
	switch w := s[:n]; {
	case w == "AND" || w == "OR" || w == "NOT":
		why = "words are written in small letters: " + strings.ToLower(w)
	case strings.HasPrefix(w, "&"):
		why = "write and"
	case strings.HasPrefix(w, "|"):
		why = "write or"
	case strings.HasPrefix(w, "!"):
		why = "write not"
	case w == "=":
		why = "a constant with = in it must be in quotes"
	}
	p.errs.add(p.pos, "unexpected %q (%s)", s[:n], why)
}

// sync skips to where the next check may begin: before "and", "or", or a ) that closes
// something that was opened before.
func (p *parser) sync() { p.syncFrom(p.pos) }

// syncFrom does what sync does, for a check that begins at offset off.
func (p *parser) syncFrom(off int) {
	open := 0
	reached := p.pos
	for p.pos = off; p.pos < len(p.src); {
		switch c := p.src[p.pos]; {
		case c == '"' || c == '\'':
			n := len(p.errs)
			p.quoted()
			p.errs = p.errs[:n]
			continue
		case c == '(':
			open++
		case c == ')' && open > 0:
			open--
		case c == ')' && p.pos >= reached:
			return
		case open == 0 && p.pos >= reached && isLetter(c) && isBlank(p.src[max(p.pos-1, 0)]):
			if w := p.word(); w == "and" || w == "or" {
				return
			}
		}
		p.pos++
	}
}

// check reads a check, or the name of a macro. Both are empty after an error.
func (p *parser) check() (c *check, name string) {
	word := p.word()
	after := byte(0)
	if n := p.pos + len(word); n < len(p.src) {
		after = p.src[n]
	}
	switch {
	case word == "":
		p.unexpectedCheck()
		return nil, ""
	case after != '.' && after != '(' && after != '[':
		off := p.pos
		p.pos += len(word)
		if next := p.peek(); next != 0 && !isBlank(next) && next != ')' {
			p.errs.add(off, "expected a field (such as proc.name), found %q", p.src[off:p.pos])
			return nil, ""
		}
		p.blanks()
		if o, _ := p.operator(false); o != 0 || word == "and" || word == "or" {
			p.errs.add(off, "%s is not a field%s", word, suggestField(word))
			return nil, ""
		}
		return nil, word
	}
	left, ok := p.operand()
	if !ok {
		return nil, ""
	}
	c = &check{left: left}
	p.blanks()
	c.opOff = p.pos
	if c.op, ok = p.operator(left.kind != operandBad); !ok {
		return nil, ""
	}
	if c.op == opExists {
		return c, ""
	}
	p.blanks()
	if !p.rightSide(c) {
		return nil, ""
	}
	return c, ""
}

// suggestField guesses which field a word without a dot stands for.
func suggestField(word string) string {
	var known []string
	for _, class := range field.Classes() {
		known = append(known, class.Name+"."+word)
	}
	for _, name := range known {
		if field.All()[name] != nil {
			return fmt.Sprintf(" (did you mean %s?)", name)
		}
	}
	return " (a field has a dot in its name, such as proc.name)"
}

func (p *parser) unexpectedCheck() {
	switch c := p.peek(); {
	case c == 0:
		p.errs.add(p.pos, "a check is missing at the end (such as proc.name = cat)")
	case c == ')':
		p.errs.add(p.pos, "a check is missing before ) (such as proc.name = cat)")
	default:
		p.unexpectedField()
	}
}

func (p *parser) unexpectedField() {
	s := p.rest()
	if s == "" {
		p.errs.add(p.pos, "expected a field (such as proc.name), found the end")
		return
	}
	n := 1
	for n < len(s) && isBare(s[n]) && isBare(s[0]) {
		n++
	}
	p.errs.add(p.pos, "expected a field (such as proc.name), found %q", s[:n])
}

// operator reads an operator. With report it says what is wrong if there is none.
func (p *parser) operator(report bool) (op, bool) {
	at := p.pos
	for _, o := range operators {
		if !o.symbol {
			continue
		}
		if p.accept(o.text) {
			return o.op, true
		}
	}
	w := p.word()
	for _, o := range operators {
		if o.symbol || o.text != w {
			continue
		}
		p.pos += len(w)
		next := p.peek()
		switch {
		case o.op == opExists && (next == 0 || isBlank(next) || next == ')'),
			o.takesList && (next == 0 || isBlank(next) || next == '('),
			isBlank(next):
			return o.op, true
		}
		if report {
			p.errs.add(p.pos, "expected a blank after %q", w)
		}
		return 0, false
	}
	if !report {
		p.pos = at
		return 0, false
	}
	what := "the end"
	if s := p.rest(); s != "" {
		n := 1
		for n < len(s) && isBare(s[n]) && isBare(s[0]) {
			n++
		}
		what = fmt.Sprintf("%q", s[:n])
	}
	switch {
	case w == "":
		p.errs.add(p.pos, "expected an operator, found %s (%s)", what, strings.Join(operatorTexts(), " "))
	case w == "and" || w == "or" || w == "not":
		p.errs.add(p.pos, "expected an operator, found %s (to test a truth value write = true, to test that there is a value exists)", what)
	default:
		p.errs.add(p.pos, "unknown operator %s%s", w, hint.DidYouMean(w, operatorTexts()))
	}
	return 0, false
}

// operand reads a field or a transformer.
func (p *parser) operand() (operand, bool) {
	word := p.word()
	if word == "" {
		p.unexpectedField()
		return operand{}, false
	}
	if p.pos+len(word) < len(p.src) && p.src[p.pos+len(word)] == '(' {
		return p.call(word)
	}
	off := p.pos
	ref, n, err := field.Parse(p.rest())
	p.pos += n
	if ref.Field != nil && err == nil {
		// A name goes on after the field that it begins with.
		if s := p.rest(); len(s) > 1 && s[0] == '.' && isWord(s[1]) {
			n := 1
			for n < len(s) && (isWord(s[n]) || s[n] == '.') {
				n++
			}
			p.errs.addKind(UnknownProblem, off, "unknown field %s%s", p.src[off:p.pos+n], hint.DidYouMean(p.src[off:p.pos+n], fieldNames()))
			p.pos += n
			return operand{off: off, kind: operandBad}, true
		} else if strings.HasPrefix(s, "[") {
			p.errs.add(p.pos, "field %s has no argument in brackets (%s)", ref.Name, ref.Syntax())
			if i := strings.IndexAny(s, "] "); i >= 0 {
				p.pos += i
				p.accept("]")
			}
			return operand{off: off, kind: operandBad}, true
		}
	}
	if err != nil {
		at := off
		if e, ok := err.(*field.Error); ok {
			at += e.Offset
		}
		p.errs.addKind(UnknownProblem, at, "%s", err)
		if n == 0 {
			return operand{}, false
		}
		if p.accept("[") { // the argument of a field that is not known
			if i := strings.IndexAny(p.rest(), "] "); i >= 0 {
				p.pos += i
				p.accept("]")
			}
		}
		return operand{off: off, kind: operandBad}, true
	}
	return operand{off: off, kind: operandField, ref: ref}, true
}

func fieldNames() []string {
	var names []string
	for _, class := range field.Classes() {
		for i := range class.Fields {
			names = append(names, class.Fields[i].Name)
		}
	}
	return names
}

// call reads a transformer; its name comes next and is followed by a parenthesis.
func (p *parser) call(name string) (operand, bool) {
	o := operand{off: p.pos, kind: operandCall, name: name}
	if name == "val" {
		p.errs.add(p.pos, "val() is for the right side of a comparison (write the field alone)")
		return operand{}, false
	}
	if findTransformer(name) == nil {
		p.errs.add(p.pos, "unknown transformer %s%s", name, hint.DidYouMean(name, transformerNames()))
		return operand{}, false
	}
	p.pos += len(name) + 1
	if p.depth == maxDepth {
		p.errs.add(p.pos, "nested too deep (%d levels are the limit)", maxDepth)
		return operand{}, false
	}
	p.depth++
	defer func() { p.depth-- }()
	var ok bool
	if o.args, ok = p.arguments(p.argument); !ok {
		return operand{}, false
	}
	if len(o.args) == 0 {
		p.errs.add(p.pos-1, "%s() needs an argument", name)
		return operand{}, false
	}
	if p.peek() == '[' {
		o.selectorOff = p.pos + 1
		end := strings.IndexByte(p.rest(), ']')
		if end < 0 {
			p.errs.add(p.pos, "the bracket is not closed")
			return operand{}, false
		}
		o.selector = strings.Trim(p.rest()[1:end], `"'`)
		p.pos += end + 1
	}
	return o, true
}

// arguments reads items with commas between them up to the closing parenthesis; the
// opening one was read.
func (p *parser) arguments(item func() (operand, bool)) ([]operand, bool) {
	open := p.pos - 1
	var args []operand
	p.blanks()
	if p.accept(")") {
		return nil, true
	}
	for {
		p.blanks()
		a, ok := item()
		if !ok {
			return nil, false
		}
		args = append(args, a)
		p.blanks()
		if p.accept(")") {
			return args, true
		}
		if !p.accept(",") {
			if p.pos == len(p.src) {
				p.errs.add(open, "the ( is not closed")
			} else {
				p.errs.add(p.pos, "expected , or ) after an argument, found %q", p.peek())
			}
			return nil, false
		}
	}
}

// argument reads an argument of a transformer.
func (p *parser) argument() (operand, bool) {
	if p.accept("(") {
		o := operand{off: p.pos - 1, kind: operandList}
		var ok bool
		o.args, ok = p.arguments(p.item)
		return o, ok
	}
	return p.item()
}

// item reads a field, a transformer, a quoted text or a number.
func (p *parser) item() (operand, bool) {
	c := p.peek()
	switch {
	case c == '"' || c == '\'':
		off := p.pos
		return operand{off: off, kind: operandString, text: p.quoted()}, true
	case c >= '0' && c <= '9' || c == '-' || c == '+':
		v, _ := p.constant()
		if _, err := parseDouble(v.text); err != nil {
			p.errs.add(v.off, "%q is not a number", v.text)
		}
		return operand{off: v.off, kind: operandNumber, text: v.text}, true
	}
	return p.operand()
}

// rightSide reads what comes after an operator.
func (p *parser) rightSide(c *check) bool {
	info := c.op.info()
	word := p.word()
	called := word != "" && p.pos+len(word) < len(p.src) && p.src[p.pos+len(word)] == '('
	switch {
	case called && word == "val":
		return p.val(c)
	case called && findTransformer(word) != nil:
		o, ok := p.call(word)
		c.right = &o
		return ok
	case info.takesList:
		return p.listOrName(c)
	case p.modifier(c):
		return p.list(c)
	}
	v, ok := p.constant()
	if !ok {
		switch {
		case p.peek() == '(' && (c.op == opEqual || c.op == opNotEqual):
			p.errs.add(p.pos, "expected a value after %s, found ( (write in for a list)", info.text)
		case p.pos == len(p.src):
			p.errs.add(p.pos, "expected a value after %s, found the end", info.text)
		default:
			p.errs.add(p.pos, "expected a value after %s, found %q", info.text, p.peek())
		}
		return false
	}
	c.values = []constant{v}
	return true
}

// modifier skips a modifier that a list, or the name of one, follows. Otherwise the
// word is a constant.
func (p *parser) modifier(c *check) bool {
	if !c.op.info().takesModifier {
		return false
	}
	w := p.word()
	for m, text := range modifierTexts {
		if text == "" || w != text {
			continue
		}
		start := p.pos
		p.pos += len(w)
		blank := p.pos < len(p.src) && isBlank(p.src[p.pos])
		p.blanks()
		next := p.word()
		if p.peek() == '(' || blank && next != "" && next != "and" && next != "or" && next != "not" {
			c.mod = modifier(m)
			return true
		}
		p.pos = start
	}
	return false
}

// listOrName reads a list, or a name, which is a list of that one word.
func (p *parser) listOrName(c *check) bool {
	if p.peek() == '(' {
		return p.list(c)
	}
	if w := p.word(); w != "" {
		end := p.pos + len(w)
		if end == len(p.src) || isBlank(p.src[end]) || p.src[end] == ')' {
			c.values = []constant{{off: p.pos, text: w}}
			p.pos = end
			return true
		}
	}
	p.errs.add(p.pos, "expected a list after %s (such as (a, b))", c.op.info().text)
	return false
}

// list reads a list of constants, or the name of one.
func (p *parser) list(c *check) bool {
	if !p.accept("(") {
		return p.listOrName(c)
	}
	open := p.pos - 1
	c.values = []constant{}
	p.blanks()
	if p.accept(")") {
		return true
	}
	for {
		p.blanks()
		v, ok := p.constant()
		if !ok {
			if p.pos == len(p.src) {
				p.errs.add(open, "the ( is not closed")
			} else {
				p.errs.add(p.pos, "expected a value in the list, found %q", p.peek())
			}
			return false
		}
		if w := v.text; !v.quoted && p.peek() == '(' {
			if w == "val" || findTransformer(w) != nil {
				p.errs.add(v.off, "a list has only constants (write %s %s(...) without the list)", c.op.info().text, w)
				return false
			}
		}
		c.values = append(c.values, v)
		p.blanks()
		if p.accept(")") {
			return true
		}
		if !p.accept(",") {
			if p.pos == len(p.src) {
				p.errs.add(open, "the ( is not closed")
			} else {
				p.errs.add(p.pos, "expected , or ) after a value, found %q", p.peek())
			}
			return false
		}
	}
}

// val reads val(field).
func (p *parser) val(c *check) bool {
	open := p.pos + len("val")
	p.pos = open + 1
	p.blanks()
	if w := p.word(); w != "" && p.pos+len(w) < len(p.src) && p.src[p.pos+len(w)] == '(' {
		p.errs.add(p.pos, "val() takes a field (write %s(...) without val)", w)
		return false
	}
	o, ok := p.operand()
	if !ok {
		return false
	}
	p.blanks()
	if !p.accept(")") {
		if p.pos == len(p.src) {
			p.errs.add(open, "the ( is not closed")
		} else {
			p.errs.add(p.pos, "expected ) after the field, found %q", p.peek())
		}
		return false
	}
	c.right = &o
	return true
}
