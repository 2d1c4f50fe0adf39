// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
)

// lexer reads tokens. What a token is depends on where it is expected: an unquoted
// constant may contain dots, slashes and operators' letters, a field may not.
type lexer struct {
	src  string
	pos  int
	errs problems
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\b' || c == '\r' || c == '\n' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isWord(c byte) bool { return isLetter(c) || c == '_' || c >= '0' && c <= '9' }

// bare reports whether c may be part of an unquoted constant.
func isBare(c byte) bool { return !isBlank(c) && !strings.ContainsRune(`()"'=,`, rune(c)) }

func (l *lexer) rest() string { return l.src[l.pos:] }

func (l *lexer) blanks() {
	for l.pos < len(l.src) && isBlank(l.src[l.pos]) {
		l.pos++
	}
}

// peek returns the next byte; 0 at the end.
func (l *lexer) peek() byte {
	if l.pos < len(l.src) {
		return l.src[l.pos]
	}
	return 0
}

// accept skips s if it comes next.
func (l *lexer) accept(s string) bool {
	if !strings.HasPrefix(l.rest(), s) {
		return false
	}
	l.pos += len(s)
	return true
}

// word returns the identifier that comes next, without skipping it.
func (l *lexer) word() string {
	s := l.rest()
	if s == "" || !isLetter(s[0]) {
		return ""
	}
	n := 1
	for n < len(s) && isWord(s[n]) {
		n++
	}
	return s[:n]
}

// keyword skips a word that comes next and is followed by no other part of a word.
func (l *lexer) keyword(s string) bool {
	if l.word() != s {
		return false
	}
	l.pos += len(s)
	return true
}

// constant is a constant as it is written.
type constant struct {
	off    int
	text   string
	quoted bool
}

// constant reads a quoted or an unquoted constant. If there is none, ok is false and
// nothing was read.
func (l *lexer) constant() (c constant, ok bool) {
	c.off = l.pos
	if q := l.peek(); q == '"' || q == '\'' {
		c.quoted = true
		c.text = l.quoted()
		return c, true
	}
	for l.pos < len(l.src) && isBare(l.src[l.pos]) {
		l.pos++
	}
	c.text = l.src[c.off:l.pos]
	return c, c.text != ""
}

// quoted reads a quoted text. It reports wrong escapes, and skips the text in any case.
func (l *lexer) quoted() string {
	open := l.pos
	quote := l.src[open]
	l.pos++
	var b strings.Builder
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		l.pos++
		switch c {
		case quote:
			return b.String()
		case '\\':
			l.escape(&b, quote)
		default:
			if c == 0 {
				l.errs.add(l.pos-1, "a NUL byte in a constant (no string of an event has one)")
			}
			b.WriteByte(c)
		}
	}
	l.errs.add(open, "the quote is not closed (missing %c)", quote)
	return b.String()
}

var escapes = map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', '\\': '\\', '/': '/'}

// escape reads what follows a backslash.
func (l *lexer) escape(b *strings.Builder, quote byte) {
	at := l.pos - 1
	if l.pos == len(l.src) {
		return // the quote is not closed
	}
	c := l.src[l.pos]
	l.pos++
	switch {
	case c == quote:
		b.WriteByte(c)
	case escapes[c] != 0:
		b.WriteByte(escapes[c])
	case c == ' ':
		b.WriteByte('\\') // rules in use have it; the blank is lost
	case c == 'x':
		hex := l.rest()
		hi, lo := -1, -1
		if len(hex) >= 2 {
			hi, lo = hexDigit(hex[0]), hexDigit(hex[1])
		}
		switch {
		case hi < 0 || lo < 0:
			l.errs.add(at, `\x needs two hexadecimal digits (such as \x0a)`)
		case hi == 0 && lo == 0:
			l.errs.add(at, `\x00 in a constant (no string of an event has a NUL byte)`)
			l.pos += 2
		default:
			b.WriteByte(byte(hi<<4 | lo))
			l.pos += 2
		}
	case c == '"' || c == '\'':
		l.errs.add(at, `\%c inside %c quotes (write %c alone)`, c, quote, c)
	default:
		l.errs.add(at, `unknown escape \%c (a backslash is \\; known: \b \f \n \r \t \\ \/ \%c \xHH)`, c, quote)
	}
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
