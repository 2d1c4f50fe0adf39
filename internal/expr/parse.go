// SPDX-License-Identifier: Apache-2.0

package expr

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds nesting, so that hostile input cannot exhaust the stack.
const maxDepth = 64

// Parse reads one expression; at is the position of its first character. The error is
// an ErrorList, and then the node is nil.
func Parse(src string, at Pos) (*Node, error) {
	p := &parser{src: src, at: at}
	if !utf8.ValidString(src) {
		p.errorf(0, "text is not UTF-8")
		return nil, p.errs
	}
	p.next()
	if p.tok.kind == tokEOF && len(p.errs) == 0 {
		p.errorf(p.tok.off, "expression is missing")
		return nil, p.errs
	}
	n := p.value()
	if !p.failed && p.tok.kind != tokEOF {
		p.unexpected("the end")
	}
	if len(p.errs) > 0 {
		p.errs = p.errs.Sorted()
		return nil, p.errs
	}
	return n, nil
}

type tokKind uint8

const (
	tokEOF  tokKind = iota
	tokInt          // num
	tokStr          // text unquoted
	tokBare         // a path or address without quotes
	tokName
	tokVar // text: name without $
	tokOp  // text
)

type token struct {
	kind tokKind
	off  int // of the first byte
	text string
	num  int64
}

type parser struct {
	src    string
	at     Pos
	off    int // after tok
	tok    token
	depth  int
	failed bool // an error was reported: no follow-up errors
	errs   ErrorList
}

func (p *parser) pos(off int) Pos {
	pos := p.at
	before := p.src[:min(off, len(p.src))]
	if i := strings.LastIndexByte(before, '\n'); i >= 0 {
		pos.Line += strings.Count(before, "\n")
		pos.Col = 1
		before = before[i+1:]
	}
	pos.Col += utf8.RuneCountInString(before)
	return pos
}

func (p *parser) errorf(off int, format string, args ...any) {
	if !p.failed {
		p.errs.Add(p.pos(off), "", format, args...)
	}
	p.failed = true
}

func (t token) String() string {
	switch t.kind {
	case tokEOF:
		return "the end"
	case tokVar:
		return "$" + t.text
	case tokStr:
		return strconv.Quote(t.text)
	}
	return t.text
}

func (p *parser) unexpected(want string) {
	p.errorf(p.tok.off, "unexpected %s (%s is expected)", p.tok, want)
}

func isLetter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// identEnd returns the offset after the identifier that starts at i.
func identEnd(s string, i int) int {
	if i >= len(s) || !isLetter(s[i]) {
		return i
	}
	for i < len(s) && (isLetter(s[i]) || isDigit(s[i])) {
		i++
	}
	return i
}

// IsIdent reports whether s is a plain C identifier.
func IsIdent(s string) bool { return s != "" && identEnd(s, 0) == len(s) }

// next reads the next token into p.tok; after an error it stays at the end.
func (p *parser) next() {
	s := p.src
	i := p.off
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	set := func(kind tokKind, end int, text string) {
		p.tok = token{kind: kind, off: i, text: text}
		p.off = end
	}
	if p.failed || i >= len(s) {
		set(tokEOF, len(s), "")
		return
	}
	switch c := s[i]; {
	case isLetter(c):
		end := identEnd(s, i)
		set(tokName, end, s[i:end])
	case isDigit(c):
		p.number(i)
	case c == '$':
		p.variable(i)
	case c == '"':
		p.quoted(i)
	case c == '/' || c == '.' && (strings.HasPrefix(s[i:], "./") || strings.HasPrefix(s[i:], "../")):
		end := bareEnd(s, i)
		set(tokBare, end, s[i:end])
		p.checkText(i, s[i:end])
	case c == '[' && addrEnd(s, i) > i:
		end := addrEnd(s, i)
		set(tokBare, end, s[i:end])
	default:
		for _, op := range []string{"->", "<<", "<=", ">=", "!=", "=="} {
			if strings.HasPrefix(s[i:], op) {
				set(tokOp, i+2, op)
				return
			}
		}
		if strings.IndexByte("()[]{},:.|~-+*<>", c) >= 0 {
			set(tokOp, i+1, s[i:i+1])
			return
		}
		r, _ := utf8.DecodeRuneInString(s[i:])
		p.errorf(i, "unexpected %q", r)
		set(tokEOF, len(s), "")
	}
}

// bareEnd returns where a string without quotes ends.
func bareEnd(s string, i int) int {
	for i < len(s) && strings.IndexByte(" \t\r\n,()[]{}\"|", s[i]) < 0 {
		i++
	}
	return i
}

// addrEnd returns the end of "[v6 address]" or "[v6 address]:port" at i, or i.
func addrEnd(s string, i int) int {
	j := i + 1
	colons := 0
	for j < len(s) && (isDigit(s[j]) || 'a' <= s[j] && s[j] <= 'f' || 'A' <= s[j] && s[j] <= 'F' || s[j] == ':' || s[j] == '.') {
		if s[j] == ':' {
			colons++
		}
		j++
	}
	if colons < 2 || j >= len(s) || s[j] != ']' {
		return i
	}
	return portEnd(s, j+1)
}

// portEnd skips a ":port" at i.
func portEnd(s string, i int) int {
	j := i + 1
	if i >= len(s) || s[i] != ':' {
		return i
	}
	for j < len(s) && isDigit(s[j]) {
		j++
	}
	if j == i+1 {
		return i
	}
	return j
}

func (p *parser) number(i int) {
	s := p.src
	j := i
	dots := 0
	for j < len(s) && (isLetter(s[j]) || isDigit(s[j]) || s[j] == '.' && j+1 < len(s) && isDigit(s[j+1])) {
		if s[j] == '.' {
			dots++
		}
		j++
	}
	text := s[i:j]
	p.tok = token{kind: tokInt, off: i, text: text}
	p.off = j
	if dots == 3 && strings.Trim(text, "0123456789.") == "" { // an IPv4 address, perhaps with a port
		p.off = portEnd(s, j)
		p.tok.kind, p.tok.text = tokBare, s[i:p.off]
		return
	}
	u, err := strconv.ParseUint(text, 0, 64)
	if err != nil || strings.Contains(text, "_") {
		why := "a decimal, 0x, 0b or octal number of at most 64 bits is expected"
		p.errorf(i, "bad number %s (%s)", text, why)
		return
	}
	p.tok.num = int64(u)
}

// variable reads $name. If a / follows immediately, it is a path.
func (p *parser) variable(i int) {
	s := p.src
	end := identEnd(s, i+1)
	if end == i+1 {
		if i+1 < len(s) && s[i+1] == '{' { // ${name}/rest: only as text
			if j := bareEnd(s, i+2); j < len(s) && s[j] == '}' {
				j = bareEnd(s, j+1)
				p.tok = token{kind: tokBare, off: i, text: s[i:j]}
				p.off = j
				p.checkText(i, p.tok.text)
				return
			}
		}
		p.errorf(i, "$ without a name (write $name)")
		p.tok = token{kind: tokEOF, off: i}
		return
	}
	path := end
	for path < len(s) && s[path] == '.' && identEnd(s, path+1) > path+1 {
		path = identEnd(s, path+1)
	}
	if path < len(s) && s[path] == '/' {
		j := bareEnd(s, path)
		p.tok = token{kind: tokBare, off: i, text: s[i:j]}
		p.off = j
		p.checkText(i, p.tok.text)
		return
	}
	p.tok = token{kind: tokVar, off: i, text: s[i+1 : end]}
	p.off = end
}

// checkText reports a bad $ inside a string that starts at off.
func (p *parser) checkText(off int, text string) {
	if _, bad, msg := interpolate(text); msg != "" {
		p.errorf(off+bad, "%s", msg)
	}
}

func (p *parser) quoted(i int) {
	s := p.src
	var b strings.Builder
	j := i + 1
	for {
		if j >= len(s) || s[j] == '\n' {
			p.errorf(i, "string without its closing quote")
			p.tok = token{kind: tokEOF, off: i}
			return
		}
		c := s[j]
		if c == '"' {
			break
		}
		if c != '\\' {
			b.WriteByte(c)
			j++
			continue
		}
		if j+1 >= len(s) {
			j++
			continue
		}
		switch e := s[j+1]; e {
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case 'r':
			b.WriteByte('\r')
		case '0':
			b.WriteByte(0)
		case '\\', '"':
			b.WriteByte(e)
		case 'x':
			v, err := strconv.ParseUint(s[min(j+2, len(s)):min(j+4, len(s))], 16, 8)
			if err != nil || j+4 > len(s) {
				p.errorf(j, "bad escape (write \\xHH with two digits)")
				p.tok = token{kind: tokEOF, off: i}
				return
			}
			b.WriteByte(byte(v))
			j += 2
		default:
			r, _ := utf8.DecodeRuneInString(s[j+1:])
			p.errorf(j, "unknown escape \\%c (known: \\n \\t \\r \\0 \\\\ \\\" \\xHH)", r)
			p.tok = token{kind: tokEOF, off: i}
			return
		}
		j += 2
	}
	p.tok = token{kind: tokStr, off: i, text: b.String()}
	p.off = j + 1
	if _, _, msg := interpolate(p.tok.text); msg != "" {
		p.errorf(i, "%s", msg)
	}
}

func (p *parser) isOp(op string) bool { return p.tok.kind == tokOp && p.tok.text == op }

func (p *parser) accept(op string) bool {
	if p.isOp(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(op string) {
	if !p.accept(op) {
		p.unexpected(op)
	}
}

func (p *parser) node(kind Kind, off int, text string, args ...*Node) *Node {
	return &Node{Kind: kind, Pos: p.pos(off), Text: text, Args: args}
}

// enter counts nesting; it returns false, with an error, when it is too deep.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > maxDepth {
		p.errorf(p.tok.off, "expression is nested too deeply (at most %d levels)", maxDepth)
		return false
	}
	return !p.failed
}

// value reads a whole expression, a field of a struct or an element of a list: only
// these can be a comparison.
func (p *parser) value() *Node {
	if p.tok.kind == tokOp {
		switch op := p.tok.text; op {
		case "<", "<=", ">", ">=", "!=", "==":
			off := p.tok.off
			p.next()
			return p.node(Compare, off, op, p.arrow())
		}
	}
	return p.arrow()
}

func (p *parser) arrow() *Node {
	if !p.enter() {
		return nil
	}
	defer func() { p.depth-- }()
	off := p.tok.off
	left := p.or()
	if p.accept("->") {
		return p.node(Arrow, off, "", left, p.or())
	}
	return left
}

func (p *parser) or() *Node {
	off := p.tok.off
	first := p.shift()
	if !p.isOp("|") {
		return first
	}
	n := p.node(Or, off, "", first)
	for p.accept("|") {
		n.Args = append(n.Args, p.shift())
	}
	return n
}

func (p *parser) shift() *Node {
	off := p.tok.off
	left := p.sum()
	for p.accept("<<") {
		left = p.node(Shl, off, "", left, p.sum())
	}
	return left
}

func (p *parser) sum() *Node {
	off := p.tok.off
	left := p.product()
	for {
		switch {
		case p.accept("+"):
			left = p.node(Add, off, "", left, p.product())
		case p.accept("-"):
			left = p.node(Sub, off, "", left, p.product())
		default:
			return left
		}
	}
}

func (p *parser) product() *Node {
	off := p.tok.off
	left := p.unary()
	for p.accept("*") {
		left = p.node(Mul, off, "", left, p.unary())
	}
	return left
}

func (p *parser) unary() *Node {
	if !p.enter() {
		return nil
	}
	defer func() { p.depth-- }()
	off := p.tok.off
	switch {
	case p.accept("-"):
		return p.node(Neg, off, "", p.unary())
	case p.accept("~"):
		return p.node(Not, off, "", p.unary())
	case p.accept("*"):
		return p.node(Elem, off, "", p.unary(), &Node{Kind: Int, Pos: p.pos(off), Text: "0"})
	}
	return p.primary()
}

func (p *parser) primary() *Node {
	t := p.tok
	switch t.kind {
	case tokInt:
		p.next()
		n := p.node(Int, t.off, t.text)
		n.Num = t.num
		return n
	case tokStr, tokBare:
		p.next()
		return p.node(Str, t.off, t.text)
	case tokName:
		p.next()
		switch {
		case p.isOp("{"):
			return p.node(Call, t.off, t.text, p.primary())
		case !p.accept("("):
			return p.members(p.node(Name, t.off, t.text))
		}
		n := p.node(Call, t.off, t.text)
		p.list(")", func() { n.Args = append(n.Args, p.arrow()) })
		return p.members(n)
	case tokVar:
		return p.accessors()
	case tokOp:
		switch t.text {
		case "(":
			p.next()
			n := p.arrow()
			p.expect(")")
			return n
		case "[":
			p.next()
			n := p.node(List, t.off, "")
			p.list("]", func() { n.Args = append(n.Args, p.value()) })
			return n
		case "{":
			p.next()
			n := p.node(Struct, t.off, "")
			p.list("}", func() { p.field(n) })
			return n
		}
	}
	p.unexpected("a value")
	return nil
}

// members reads what follows a name or a call: ->field, .field, [i].
func (p *parser) members(n *Node) *Node {
	for !p.failed {
		off := p.tok.off
		switch {
		case p.isOp("->"), p.isOp("."):
			arrow := p.isOp("->")
			p.next()
			if p.tok.kind != tokName {
				p.unexpected("a field name")
				return n
			}
			n = p.node(Member, off, p.tok.text, n)
			if arrow {
				n.Num = 1
			}
			p.next()
		case p.isOp("["):
			p.next()
			n = p.node(Elem, off, "", n, p.arrow())
			p.expect("]")
		default:
			return n
		}
	}
	return n
}

// list reads items separated by commas up to the closing bracket.
func (p *parser) list(end string, item func()) {
	if p.accept(end) {
		return
	}
	for !p.failed {
		item()
		if p.accept(end) {
			return
		}
		if !p.accept(",") {
			p.unexpected(", or " + end)
		}
	}
}

func (p *parser) field(n *Node) {
	name := p.tok
	if name.kind != tokName {
		p.unexpected("a field name")
		return
	}
	for _, have := range n.Names {
		if have == name.text {
			p.errorf(name.off, "field %s is repeated", name.text)
			return
		}
	}
	p.next()
	p.expect(":")
	n.Names = append(n.Names, name.text)
	n.Args = append(n.Args, p.value())
}

// accessors reads $name and what follows without a space: .field, [i], [a:b].
func (p *parser) accessors() *Node {
	n := p.node(Var, p.tok.off, p.tok.text)
	for !p.failed && p.off < len(p.src) {
		switch p.src[p.off] {
		case '.':
			end := identEnd(p.src, p.off+1)
			if end == p.off+1 {
				p.errorf(p.off, "field name is missing after the dot")
				return n
			}
			n.Args = append(n.Args, p.node(Field, p.off, p.src[p.off+1:end]))
			p.off = end
			continue
		case '[':
			off := p.off
			p.next() // [
			p.next()
			var from, to *Node
			if !p.isOp(":") {
				from = p.arrow()
			}
			a := p.node(Index, off, "", from)
			if p.isOp(":") {
				p.next()
				if !p.isOp("]") {
					to = p.arrow()
				}
				a.Kind, a.Args = Slice, []*Node{from, to}
			}
			if !p.isOp("]") {
				p.unexpected("]")
				return n
			}
			n.Args = append(n.Args, a)
			continue // p.off is right after the ]
		}
		break
	}
	p.next()
	return n
}

// Ref is a variable used inside a string, with the fields taken from it.
type Ref struct {
	Off    int // of its $ in the text
	Name   string
	Fields []string
}

// part is a run of literal text or a reference.
type part struct {
	text string
	ref  *Ref
}

// interpolate splits the text of a Str node; msg says what is wrong at offset bad.
func interpolate(s string) (parts []part, bad int, msg string) {
	start := 0
	var lit strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '$' {
			i++
			continue
		}
		lit.WriteString(s[start:i])
		if i+1 < len(s) && s[i+1] == '$' {
			lit.WriteByte('$')
			i += 2
			start = i
			continue
		}
		j := i + 1
		braces := j < len(s) && s[j] == '{'
		if braces {
			j++
		}
		end := identEnd(s, j)
		if end == j {
			return nil, i, "$ without a name (write $name, or $$ for a dollar sign)"
		}
		ref := &Ref{Off: i, Name: s[j:end]}
		for end < len(s) && s[end] == '.' && identEnd(s, end+1) > end+1 {
			next := identEnd(s, end+1)
			ref.Fields = append(ref.Fields, s[end+1:next])
			end = next
		}
		if braces {
			if end >= len(s) || s[end] != '}' {
				return nil, i, "${ without its closing }"
			}
			end++
		}
		if lit.Len() > 0 {
			parts = append(parts, part{text: lit.String()})
			lit.Reset()
		}
		parts = append(parts, part{ref: ref})
		i = end
		start = end
	}
	lit.WriteString(s[start:])
	if lit.Len() > 0 {
		parts = append(parts, part{text: lit.String()})
	}
	return parts, 0, ""
}

// Refs returns the variables a string's text mentions.
func Refs(text string) []Ref {
	parts, _, _ := interpolate(text)
	var refs []Ref
	for _, p := range parts {
		if p.ref != nil {
			refs = append(refs, *p.ref)
		}
	}
	return refs
}
