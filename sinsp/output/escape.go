// SPDX-License-Identifier: Apache-2.0

package output

import (
	"strconv"
	"unicode/utf8"
)

// Names of files, processes and so on are chosen by others, and may have any bytes but
// NUL. Escaped, a name has no effect beyond itself: it does not end the line, moves no
// cursor, changes no colour, does not turn the direction of what follows, and no part
// of it is invisible. Which characters are escaped does not depend on the form of the
// output; how they are written does:
//
//	text    \n \t \\ \x1b (a control character, or a byte that is no UTF-8) \u202e
//	JSON    \n \t \\ \u001b \u202e, and \ufffd for a byte that is no UTF-8
//
// Both can be read back: a text has no \ but in escapes.

// plain[c] reports whether the ASCII character c is printed as it is.
var plain = func() (t [256]bool) {
	for c := ' '; c <= '~'; c++ {
		t[c] = c != '\\'
	}
	return t
}()

// safe reports whether a character beyond ASCII is printed as it is: it is visible and
// does not change how others are shown.
func safe(r rune) bool {
	return strconv.IsPrint(r) && !blank(r)
}

// blank reports whether r is among the characters that count as printable but show
// nothing: fillers, and selectors of the form of another character.
func blank(r rune) bool {
	switch {
	case r < 0x034f:
		return false
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x17b4, r == 0x17b5, r >= 0x180b && r <= 0x180f,
		r == 0x2800, r == 0x3164, r >= 0xfe00 && r <= 0xfe0f, r == 0xffa0, r >= 0xe0000 && r <= 0xe0fff:
		return true
	}
	return false
}

const hexDigits = "0123456789abcdef"

// AppendEscaped appends a text for a line or a terminal.
func AppendEscaped(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			// A run of plain characters is appended at once.
			start := i
			for i < len(text) && plain[text[i]] {
				i++
			}
			if dst = append(dst, text[start:i]...); i == start {
				dst = appendEscape(dst, c)
				i++
			}
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, '\\', 'x', hexDigits[text[i]>>4], hexDigits[text[i]&15])
		case safe(r):
			dst = append(dst, text[i:i+n]...)
		default:
			dst = appendUnicode(dst, r)
		}
		i += n
	}
	return dst
}

// appendEscape escapes an ASCII character.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '\n':
		return append(dst, '\\', 'n')
	case '\t':
		return append(dst, '\\', 't')
	case '\r':
		return append(dst, '\\', 'r')
	case '\\':
		return append(dst, '\\', '\\')
	}
	return append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
}

func appendUnicode(dst []byte, r rune) []byte {
	if r > 0xffff {
		dst = append(dst, '\\', 'U', '0', '0', hexDigits[r>>20&15], hexDigits[r>>16&15])
	} else {
		dst = append(dst, '\\', 'u')
	}
	return append(dst, hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// AppendJSON appends a text as a JSON string, in quotes.
func AppendJSON(dst, text []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			start := i
			for i < len(text) && plain[text[i]] && text[i] != '"' {
				i++
			}
			if dst = append(dst, text[start:i]...); i == start {
				dst = appendJSONEscape(dst, rune(c))
				i++
			}
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		if r != utf8.RuneError && safe(r) {
			dst = append(dst, text[i:i+n]...)
		} else {
			dst = appendJSONEscape(dst, r)
		}
		i += n
	}
	return append(dst, '"')
}

func appendJSONEscape(dst []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(dst, '\\', 'n')
	case r == '\t':
		return append(dst, '\\', 't')
	case r == '\r':
		return append(dst, '\\', 'r')
	case r == '\\' || r == '"':
		return append(dst, '\\', byte(r))
	case r > 0xffff:
		r -= 0x10000 // JSON has 16-bit escapes
		dst = appendJSONEscape(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
