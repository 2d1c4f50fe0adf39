// SPDX-License-Identifier: Apache-2.0

// Package escape makes text that others chose safe to show. A watched program names its files and processes as it likes: control
// characters would command the terminal, bidirectional marks reorder a line, and invisible characters make two names look alike.
package escape

import (
	"bytes"
	"encoding/binary"
	"unicode"
	"unicode/utf8"
)

// invisible are printable characters of Unicode that show nothing.
var invisible = []*unicode.RangeTable{unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector}

const brailleBlank = 0x2800

// Printable reports whether r shows as a character of its own: no control, bidirectional or invisible character, no blank
// other than the ASCII one, and no code without a character.
func Printable(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r <= '~'
	}
	return r != utf8.RuneError && r != brailleBlank && unicode.IsPrint(r) && !unicode.In(r, invisible...)
}

// AppendText appends s with a dot for each byte of characters that are not printable and each byte that is not UTF-8.
func AppendText(dst, s []byte) []byte {
	n := plain(s)
	dst = append(dst, s[:n]...)
	for i := n; i < len(s); {
		start := i
		i += plain(s[i:])
		dst = append(dst, s[start:i]...)
		if i == len(s) {
			break
		}
		if s[i] < utf8.RuneSelf {
			dst = append(dst, '.')
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if Printable(r) {
			dst = append(dst, s[i:i+n]...)
		} else {
			dst = append(dst, "...."[:n]...)
		}
		i += n
	}
	return dst
}

// Plain reports whether s has only printable ASCII characters: AppendText changes nothing.
func Plain(s []byte) bool { return plain(s) == len(s) }

// AppendDots appends s with a dot for each byte that is not printable ASCII.
func AppendDots(dst, s []byte) []byte {
	n := len(dst)
	dst = append(dst, s...)
	b := dst[n:]
	for ; len(b) >= 8; b = b[8:] {
		// As in plain; bad gets the upper bit of each byte that is not printable, and
		// no byte carries or borrows, since its own upper bit was cleared or set before.
		w := binary.LittleEndian.Uint64(b)
		bits := w &^ high
		bad := (w | (bits + low) | ^((bits | high) - ' '*low)) & high
		if bad != 0 {
			mask := bad >> 7 * 0xff
			binary.LittleEndian.PutUint64(b, w&^mask|'.'*low&mask)
		}
	}
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '.'
		}
	}
	return dst
}

const low, high = 0x0101010101010101, 0x8080808080808080

// plain returns how many bytes at the start of s are printable ASCII.
func plain(s []byte) (n int) {
	// Eight at a time: the upper bit of a byte of the sum or of the difference tells of
	// one that is not. Those of printable bytes neither carry nor borrow.
	for ; len(s)-n >= 32; n += 32 {
		b := (*[32]byte)(s[n:])
		if (odd(b[:])|odd(b[8:])|odd(b[16:])|odd(b[24:]))&high != 0 {
			break
		}
	}
	for ; len(s)-n >= 8; n += 8 {
		if odd(s[n:])&high != 0 {
			break
		}
	}
	for n < len(s) && s[n] >= ' ' && s[n] <= '~' {
		n++
	}
	return n
}

// odd has the upper bit of each of 8 bytes that is not printable, if none before it is.
func odd(b []byte) uint64 {
	w := binary.LittleEndian.Uint64(b)
	return w | (w + low) | (w - ' '*low)
}

// Lines is AppendText for a message of several lines: line feeds and tabs stay.
func Lines(s string) string {
	b := make([]byte, 0, len(s))
	for len(s) > 0 {
		i := 0
		for i < len(s) && s[i] != '\n' && s[i] != '\t' {
			i++
		}
		b = AppendText(b, []byte(s[:i]))
		if i < len(s) {
			b = append(b, s[i])
			i++
		}
		s = s[i:]
	}
	return string(b)
}

// AppendJSON appends s as a JSON string. Characters that are not printable become \u escapes, so that the line is safe to show
// and still has the value; each byte that is not UTF-8 becomes U+FFFD.
func AppendJSON(dst, s []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && s[i] >= ' ' && s[i] <= '~' && s[i] != '"' && s[i] != '\\' {
			i++
		}
		dst = append(dst, s[start:i]...)
		if i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		default:
			r, n := utf8.DecodeRune(s[i:])
			dst = appendRune(dst, r)
			i += n
		}
	}
	return append(dst, '"')
}

// SafeJSON returns text, which is valid JSON, with \u escapes for the characters that are not printable. Outside of strings JSON
// has ASCII only, so every other character is in a string.
func SafeJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, func(r rune) bool { return r > '~' && !Printable(r) }) {
		return text
	}
	var out []byte
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r <= '~' {
			out = append(out, text[:n]...)
		} else {
			out = appendRune(out, r)
		}
		text = text[n:]
	}
	return out
}

func appendRune(dst []byte, r rune) []byte {
	if r == utf8.RuneError || Printable(r) {
		return utf8.AppendRune(dst, r)
	}
	if r >= 0x10000 {
		const surrogates = 0xd800
		r -= 0x10000
		return appendUnit(appendUnit(dst, surrogates|r>>10), surrogates|0x400|r&0x3ff)
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}
