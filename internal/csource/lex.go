// SPDX-License-Identifier: Apache-2.0

package csource

import (
	"strings"
	"unicode/utf8"

	"github.com/scaplab/scaplab/internal/expr"
)

// line is a line of the text, with those that continue it.
type line struct {
	directive bool // it begins with #, which tokens does not have
	tokens    []Token
}

// operators of more than one character, longest first.
var operators = []string{"<<=", ">>=", "...", "##", "<<", ">>", "&&", "||", "==", "!=", "<=", ">=", "->", "++", "--", "+=", "-=", "|=", "&="}

type lexer struct {
	text string
	at   int
	pos  expr.Pos
}

// skip moves over n bytes.
func (l *lexer) skip(n int) {
	for _, r := range l.text[l.at : l.at+n] {
		l.pos.Col++
		if r == '\n' {
			l.pos.Line, l.pos.Col = l.pos.Line+1, 1
		}
	}
	l.at += n
}

func lex(name string, text []byte) ([]line, error) {
	l := &lexer{text: string(text), pos: expr.Pos{File: name, Line: 1, Col: 1}}
	lines := []line{{}}
	for l.at < len(l.text) {
		now := &lines[len(lines)-1]
		rest := l.text[l.at:]
		switch c := rest[0]; {
		case strings.HasPrefix(rest, "\\\n"), strings.HasPrefix(rest, "\\\r\n"):
			l.skip(strings.IndexByte(rest, '\n') + 1)
		case c == '\n':
			l.skip(1)
			lines = append(lines, line{})
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			l.skip(1)
		case strings.HasPrefix(rest, "//"):
			l.skip(len(strings.SplitN(rest, "\n", 2)[0]))
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return nil, Errorf(l.pos, "comment has no end")
			}
			l.skip(end + 4)
		case c == '#' && len(now.tokens) == 0 && !now.directive:
			l.skip(1)
			now.directive = true
		default:
			t, n := l.token(rest)
			if n == 0 {
				if now.directive { // of text that is never used: #error don't
					n = 1
				} else {
					return nil, Errorf(l.pos, "%c has no end", c)
				}
			} else {
				now.tokens = append(now.tokens, t)
			}
			l.skip(n)
		}
	}
	return lines, nil
}

func wordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= utf8.RuneSelf
}

// token returns the token that a text begins with, and its bytes; 0 if it is not whole.
func (l *lexer) token(rest string) (Token, int) {
	c := rest[0]
	if c == '"' || c == '\'' {
		for i := 1; i < len(rest) && rest[i] != '\n'; i++ {
			switch rest[i] {
			case '\\':
				i++
			case c:
				kind := String
				if c == '\'' {
					kind = Char
				}
				return Token{l.pos, kind, rest[1:i]}, i + 1
			}
		}
		return Token{}, 0
	}
	n := 0
	for n < len(rest) && wordByte(rest[n]) {
		n++
	}
	switch {
	case n > 0 && c >= '0' && c <= '9':
		return Token{l.pos, Number, rest[:n]}, n
	case n > 0:
		return Token{l.pos, Word, rest[:n]}, n
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			return Token{l.pos, Operator, op}, len(op)
		}
	}
	return Token{l.pos, Operator, rest[:1]}, 1
}
