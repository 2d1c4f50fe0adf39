// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"net/netip"
	"regexp"
	"regexp/syntax"

	"github.com/scaplab/scaplab/sinsp/field"
)

// test decides about one value. Values of a test are of the type that it was made for.
type test interface {
	match(v *field.Value) bool
}

// textEqual and the other text tests are for String and Bytes.
type textEqual []byte

func (t textEqual) match(v *field.Value) bool { return string(v.Str) == string(t) }

type textContains []byte

func (t textContains) match(v *field.Value) bool { return bytes.Contains(v.Str, t) }

// textContainsFold has small letters only.
type textContainsFold []byte

func (t textContainsFold) match(v *field.Value) bool { return containsFold(v.Str, t) }

// containsFold reports whether s has sub, whose ASCII letters are small, in it.
func containsFold(s, sub []byte) bool {
	for i := 0; i+len(sub) <= len(s); i++ {
		if hasPrefixFold(s[i:], sub) {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, prefix []byte) bool {
	for i, c := range prefix {
		if foldByte(s[i]) != c {
			return false
		}
	}
	return true
}

func foldByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

type textPrefix []byte

func (t textPrefix) match(v *field.Value) bool { return bytes.HasPrefix(v.Str, t) }

type textSuffix []byte

func (t textSuffix) match(v *field.Value) bool { return bytes.HasSuffix(v.Str, t) }

type textRegex struct{ re *regexp.Regexp }

func (t textRegex) match(v *field.Value) bool { return t.re.Match(v.Str) }

// compileRegex compiles a POSIX extended regular expression that matches the whole
// text. For it each byte that is not part of UTF-8 is U+FFFD.
func compileRegex(pattern string) (textRegex, error) {
	// The anchors are no POSIX syntax.
	posix, err := syntax.Parse(pattern, syntax.POSIX)
	if err != nil {
		return textRegex{}, err
	}
	re, err := regexp.Compile(`\A(?:` + posix.String() + `)\z`)
	return textRegex{re}, err
}

type numberEqual uint64

func (t numberEqual) match(v *field.Value) bool { return v.Num == uint64(t) }

type doubleSet []float64

func (t doubleSet) match(v *field.Value) bool {
	f := v.Float()
	for _, e := range t {
		if e == f {
			return true
		}
	}
	return false
}

// numberOrder compares numbers of one type with a constant.
type numberOrder struct {
	typ field.Type
	op  op
	num field.Value
}

func (t *numberOrder) match(v *field.Value) bool { return ordered(t.typ, t.op, v, &t.num) }

// ordered reports whether a op b, for numbers.
func ordered(typ field.Type, o op, a, b *field.Value) bool {
	switch typ {
	case field.Int:
		return holds(o, a.Signed(), b.Signed())
	case field.Double:
		return holds(o, a.Float(), b.Float())
	}
	return holds(o, a.Num, b.Num)
}

func holds[T int64 | uint64 | float64](o op, a, b T) bool {
	switch o {
	case opLess:
		return a < b
	case opLessEqual:
		return a <= b
	case opGreater:
		return a > b
	}
	return a >= b
}

type addrEqual netip.Addr

func (t addrEqual) match(v *field.Value) bool { return v.IP == netip.Addr(t) }

// quantified holds if its tests hold for so many elements of a list as the modifier
// says.
type quantified struct {
	tests []test
	mod   modifier
}

func (t *quantified) match(v *field.Value) bool {
	n := 0
	for _, sub := range t.tests {
		if sub.match(v) {
			n++
		}
		switch {
		case n == 1 && t.mod == modAnyOf:
			return true
		case n > 1 && t.mod == modOneOf:
			return false
		}
	}
	switch t.mod {
	case modAllOf:
		return n == len(t.tests) && n > 0
	case modOneOf:
		return n == 1
	}
	return false
}

type not struct{ test }

func (t not) match(v *field.Value) bool { return !t.test.match(v) }

// compareFunc compares two values of one type.
type compareFunc func(a, b *field.Value) bool

// comparison returns the function of an operator for values of a type.
func comparison(typ field.Type, o op) compareFunc {
	switch o {
	case opEqual, opNotEqual, opIn, opIntersects:
		switch typ {
		case field.String, field.Bytes:
			return func(a, b *field.Value) bool { return bytes.Equal(a.Str, b.Str) }
		case field.IP, field.Net, field.Host:
			return func(a, b *field.Value) bool { return a.IP == b.IP }
		case field.Double:
			return func(a, b *field.Value) bool { return a.Float() == b.Float() }
		}
		return func(a, b *field.Value) bool { return a.Num == b.Num }
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		return func(a, b *field.Value) bool { return ordered(typ, o, a, b) }
	case opContains, opBContains:
		return func(a, b *field.Value) bool { return bytes.Contains(a.Str, b.Str) }
	case opIContains:
		var folded []byte
		return func(a, b *field.Value) bool {
			folded, _ = lower(b.Str, folded[:0])
			return containsFold(a.Str, folded)
		}
	case opStartsWith, opBStartsWith:
		return func(a, b *field.Value) bool { return bytes.HasPrefix(a.Str, b.Str) }
	case opEndsWith:
		return func(a, b *field.Value) bool { return bytes.HasSuffix(a.Str, b.Str) }
	case opGlob, opIGlob:
		// A pattern is compiled when it differs from the one before.
		var pattern []byte
		var compiled *glob
		return func(a, b *field.Value) bool {
			if compiled == nil || !bytes.Equal(pattern, b.Str) {
				var err error
				if compiled, err = compileGlob(string(b.Str), o == opIGlob); err != nil {
					return false
				}
				pattern = append(pattern[:0], b.Str...)
			}
			return compiled.matches(a.Str)
		}
	}
	return nil
}
