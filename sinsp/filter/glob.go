// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/scaplab/scaplab/sinsp/field"
)

// glob is a compiled pattern, as POSIX fnmatch has it without flags: * and ? match
// every character, slashes and dots too.
type glob struct {
	parts []globPart
	fold  bool // ASCII letters of either case are equal
}

// globPart matches one character, or any text.
type globPart struct {
	kind globKind
	char rune
	set  []charRange // globSet
	not  bool        // globSet: none of them
}

type globKind uint8

const (
	globChar globKind = iota
	globAny           // ?
	globStar
	globSet
)

type charRange struct{ first, last rune }

func compileGlob(pattern string, fold bool) (*glob, error) {
	g := &glob{fold: fold}
	for s := pattern; s != ""; {
		c, n := utf8.DecodeRuneInString(s)
		if c == utf8.RuneError && n == 1 {
			c = invalid(s[0])
		}
		switch c {
		case '*':
			if len(g.parts) == 0 || g.parts[len(g.parts)-1].kind != globStar {
				g.parts = append(g.parts, globPart{kind: globStar})
			}
		case '?':
			g.parts = append(g.parts, globPart{kind: globAny})
		case '[':
			part, size, err := compileSet(s)
			if err != nil {
				return nil, err
			}
			g.parts = append(g.parts, part)
			n = size
		case '\\':
			if len(s) == 1 {
				return nil, errors.New(`a \ at the end of a pattern (a backslash is \\)`)
			}
			c, n = utf8.DecodeRuneInString(s[1:])
			if c == utf8.RuneError && n == 1 {
				c = invalid(s[1])
			}
			n++
			g.parts = append(g.parts, globPart{char: g.folded(c)})
		default:
			g.parts = append(g.parts, globPart{char: g.folded(c)})
		}
		s = s[n:]
	}
	return g, nil
}

// invalid stands for a byte that is not part of UTF-8.
func invalid(b byte) rune { return -1 - rune(b) }

// next returns the first character of s and its size.
func next(s []byte) (rune, int) {
	if s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	c, n := utf8.DecodeRune(s)
	if c == utf8.RuneError && n == 1 {
		return invalid(s[0]), 1
	}
	return c, n
}

func (g *glob) folded(c rune) rune {
	if g.fold && c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

var charClasses = map[string][]charRange{
	"alnum":  {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}},
	"alpha":  {{'A', 'Z'}, {'a', 'z'}},
	"blank":  {{' ', ' '}, {'\t', '\t'}},
	"cntrl":  {{0, 0x1f}, {0x7f, 0x7f}},
	"digit":  {{'0', '9'}},
	"graph":  {{'!', '~'}},
	"lower":  {{'a', 'z'}},
	"print":  {{' ', '~'}},
	"punct":  {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}},
	"space":  {{'\t', '\r'}, {' ', ' '}},
	"upper":  {{'A', 'Z'}},
	"xdigit": {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
}

// compileSet reads [...] at the start of s and returns its size. A [ that is not closed
// is a character.
func compileSet(s string) (part globPart, size int, err error) {
	part = globPart{kind: globSet}
	i := 1
	if i < len(s) && (s[i] == '!' || s[i] == '^') {
		part.not = true
		i++
	}
	for first := true; ; first = false {
		if i >= len(s) {
			return globPart{char: '['}, 1, nil
		}
		if s[i] == ']' && !first {
			return part, i + 1, nil
		}
		if strings.HasPrefix(s[i:], "[:") {
			if name, _, ok := strings.Cut(s[i+2:], ":]"); ok {
				class, known := charClasses[name]
				if !known {
					return part, 0, fmt.Errorf("unknown class [:%s:] in a pattern", name)
				}
				part.set = append(part.set, class...)
				i += len(name) + 4
				continue
			}
		}
		from, n := setChar(s[i:])
		i += n
		to := from
		if i+1 < len(s) && s[i] == '-' && s[i+1] != ']' {
			to, n = setChar(s[i+1:])
			i += 1 + n
		}
		part.set = append(part.set, charRange{from, to})
	}
}

// setChar reads one character of a set, which a backslash may precede.
func setChar(s string) (rune, int) {
	skip := 0
	if s[0] == '\\' && len(s) > 1 {
		skip = 1
	}
	c, n := utf8.DecodeRuneInString(s[skip:])
	if c == utf8.RuneError && n == 1 {
		c = invalid(s[skip])
	}
	return c, skip + n
}

func (p *globPart) has(c rune, fold bool) bool {
	found := p.in(c)
	if !found && fold {
		switch {
		case c >= 'A' && c <= 'Z':
			found = p.in(c + 'a' - 'A')
		case c >= 'a' && c <= 'z':
			found = p.in(c - 'a' + 'A')
		}
	}
	return found != p.not
}

func (p *globPart) in(c rune) bool {
	for _, r := range p.set {
		if c >= r.first && c <= r.last {
			return true
		}
	}
	return false
}

// match implements test.
func (g *glob) match(v *field.Value) bool { return g.matches(v.Str) }

// matches reports whether the pattern matches all of s. The time is at most the
// product of the lengths: only the last * needs to be tried again.
func (g *glob) matches(s []byte) bool {
	part, star := 0, -1
	var retry []byte // what the last * has not taken
	for len(s) > 0 {
		if part < len(g.parts) {
			p := &g.parts[part]
			if p.kind == globStar {
				star = part
				part++
				retry = s
				continue
			}
			c, n := next(s)
			if p.kind == globAny || p.kind == globChar && g.folded(c) == p.char || p.kind == globSet && p.has(c, g.fold) {
				part++
				s = s[n:]
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, n := next(retry)
		retry = retry[n:]
		s = retry
		part = star + 1
	}
	for part < len(g.parts) && g.parts[part].kind == globStar {
		part++
	}
	return part == len(g.parts)
}
