// SPDX-License-Identifier: Apache-2.0

package output

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestEscapes(t *testing.T) {
	for _, c := range []struct{ name, in, text, json string }{
		{"plain", "/etc/passwd", `/etc/passwd`, `"/etc/passwd"`},
		{"letters of other scripts stay", "/tmp/żółw 文 שלום", `/tmp/żółw 文 שלום`, `"/tmp/żółw 文 שלום"`},
		{"a line end forges no line", "a\n2 evil", `a\n2 evil`, `"a\n2 evil"`},
		{"a colour stays text", "\x1b[31mred", `\x1b[31mred`, `"\u001b[31mred"`},
		{"C1 controls too", "\u009b31m", `\u009b31m`, `"\u009b31m"`},
		{"a quote closes no JSON string", `a","evt.type":"b`, `a","evt.type":"b`, `"a\",\"evt.type\":\"b"`},
		{"a backslash is not the start of an escape", `\x1b`, `\\x1b`, `"\\x1b"`},
		{"direction", "a\u202egpj.exe", `a\u202egpj.exe`, `"a\u202egpj.exe"`},
		{"isolates", "\u2066x\u2069", `\u2066x\u2069`, `"\u2066x\u2069"`},
		{"marks of direction", "\u200f\u061c", `\u200f\u061c`, `"\u200f\u061c"`},
		{"invisible", "pass\u200bwd\ufeff", `pass\u200bwd\ufeff`, `"pass\u200bwd\ufeff"`},
		{"fillers", "\u3164\u2800\u115f", `\u3164\u2800\u115f`, `"\u3164\u2800\u115f"`},
		{"variation selectors", "a\ufe0f", `a\ufe0f`, `"a\ufe0f"`},
		{"tags", "\U000e0061", `\U000e0061`, `"\udb40\udc61"`},
		{"line separators", "a\u2028b\u2029c", `a\u2028b\u2029c`, `"a\u2028b\u2029c"`},
		{"a blank that is none", "a\u00a0b", `a\u00a0b`, `"a\u00a0b"`},
		{"no UTF-8", "a\xffb\xc3", `a\xffb\xc3`, `"a\ufffdb\ufffd"`},
		{"a surrogate", "\xed\xa0\x80", `\xed\xa0\x80`, `"\ufffd\ufffd\ufffd"`},
		{"DEL", "\x7f", `\x7f`, `"\u007f"`},
		{"empty", "", ``, `""`},
	} {
		require.Equal(t, c.text, string(AppendEscaped(nil, []byte(c.in))), c.name)
		require.Equal(t, c.json, string(AppendJSON(nil, []byte(c.in))), c.name)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add([]byte("a\n\x1b[31m\u202e\xff\\\"\U0001f600"))
	f.Fuzz(func(t *testing.T, in []byte) {
		text := string(AppendEscaped([]byte("x"), in))
		require.True(t, utf8.ValidString(text))
		for _, r := range text {
			require.True(t, r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Cf, r) && !unicode.IsSpace(r), "%U", r)
		}
		require.Equal(t, string(in), unescape(t, text[1:]), "a text can be read back")

		out := AppendJSON(nil, in)
		var back string
		require.NoError(t, json.Unmarshal(out, &back))
		require.Equal(t, string([]rune(string(in))), back, "a byte that is no UTF-8 is U+FFFD")
	})
}

// unescape reads what AppendEscaped has written.
func unescape(t *testing.T, s string) string {
	var b strings.Builder
	for s != "" {
		if s[0] != '\\' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		digits, r := 0, rune(0)
		switch s[1] {
		case 'n':
			r = '\n'
		case 't':
			r = '\t'
		case 'r':
			r = '\r'
		case '\\':
			r = '\\'
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			require.Fail(t, "unknown escape", s)
		}
		kind := s[1]
		for _, c := range s[2 : 2+digits] {
			r = r<<4 | rune(strings.IndexRune(hexDigits, c))
		}
		s = s[2+digits:]
		if kind == 'x' {
			b.WriteByte(byte(r))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
