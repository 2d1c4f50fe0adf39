// SPDX-License-Identifier: Apache-2.0

package escape

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// hostile are characters that change how other characters are shown, or show nothing.
var hostile = map[string]rune{
	"escape": 0x1b, "delete": 0x7f, "C1 control sequence introducer": 0x9b, "soft hyphen": 0xad, "no-break space": 0xa0,
	"right-to-left mark": 0x200f, "Arabic letter mark": 0x61c, "right-to-left override": 0x202e, "left-to-right isolate": 0x2066,
	"pop isolate": 0x2069, "line separator": 0x2028, "paragraph separator": 0x2029, "zero-width space": 0x200b,
	"zero-width joiner": 0x200d, "word joiner": 0x2060, "byte order mark": 0xfeff, "tag": 0xe0041, "language tag": 0xe0001,
	"variation selector": 0xfe0f, "variation selector 17": 0xe0100, "Hangul filler": 0x3164, "halfwidth Hangul filler": 0xffa0,
	"combining grapheme joiner": 0x34f, "Braille blank": 0x2800, "ideographic space": 0x3000, "interlinear annotation": 0xfff9,
	"musical beam": 0x1d173, "private use": 0xe000, "unassigned": 0x378, "noncharacter": 0xffff, "shorthand format": 0x1bca0,
}

func TestCharactersThatLieAreNotShown(t *testing.T) {
	for name, r := range hostile {
		s := "a" + string(r) + "b"
		require.False(t, Printable(r), name)
		dots := "a" + strings.Repeat(".", len(s)-2) + "b"
		require.Equal(t, dots, string(AppendText(nil, []byte(s))), name)
		require.Equal(t, dots, Lines(s), name)
		quoted := string(AppendJSON(nil, []byte(s)))
		require.Regexp(t, `^"a(\\u[0-9a-f]{4}){1,2}b"$`, quoted, name)
		require.Equal(t, s, unquoted(t, quoted), name)
		safe := string(SafeJSON([]byte(`{"k":"` + s[1:] + `"}`)))
		if r > '~' {
			require.NotContains(t, safe, string(r), name)
		}
	}
}

func TestRunsOfPlainBytesAreFoundAtEveryPlace(t *testing.T) {
	for n := range 20 {
		for c := range 256 {
			s := bytes.Repeat([]byte("~"), 20)
			s[n] = byte(c)
			want := 20
			if c < ' ' || c > '~' {
				want = n
			}
			require.Equal(t, want, plain(s), "%#x at %d", c, n)
			require.Equal(t, n, plain(s[:n]))
		}
	}
}

func TestTextOfAnyLanguageIsShown(t *testing.T) {
	for _, s := range []string{"plain text ~", "Grüße", "файл", "文件名", "ملف", "ไฟล์", "नाम", "emoji 🙂", "e\u0301"} {
		require.Equal(t, s, string(AppendText(nil, []byte(s))))
		require.Equal(t, `"`+s+`"`, string(AppendJSON(nil, []byte(s))))
		require.Equal(t, s, string(SafeJSON([]byte(s))))
	}
	require.Equal(t, "two\nlines\tand .[1m", Lines("two\nlines\tand \x1b[1m"))
}

func TestJSONStringsAreReadBack(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x100) {
		all.WriteRune(r)
	}
	for _, s := range []string{"", "plain", `"quotes" and \\ backslashes`, all.String(), "Ünïcödé \U0001f600", "\u2028"} {
		require.Equal(t, s, unquoted(t, string(AppendJSON([]byte("x"), []byte(s))[1:])))
	}
	require.Equal(t, "\"a\ufffdb\ufffd\"", string(AppendJSON(nil, []byte("a\xffb\xc3"))))
}

func TestBytesThatAreNotTextAreDots(t *testing.T) {
	require.Equal(t, "a..b.", string(AppendText(nil, []byte("a\xff\xc3b\xe2"))))
	require.Equal(t, "...", string(AppendText(nil, []byte("\ufffd"))), "it may stand for anything")
	require.Equal(t, "\"a\ufffdb\"", string(AppendJSON(nil, []byte("a\xffb"))))
	require.Equal(t, `"\"\\\u0000\u001f"`, string(AppendJSON(nil, []byte("\"\\\x00\x1f"))))
}

func unquoted(t *testing.T, quoted string) (s string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(quoted), &s))
	return s
}

// textOf returns s without the bytes that are not UTF-8 and what stands for them.
func textOf(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\ufffd", "") }

func FuzzEscape(f *testing.F) {
	for _, r := range hostile {
		f.Add([]byte("a" + string(r)))
	}
	f.Add([]byte("\xed\xa0\x80\xff\"\\"))
	f.Fuzz(func(t *testing.T, s []byte) {
		text := string(AppendText(nil, s))
		quoted := string(AppendJSON(nil, s))
		encoded, err := json.Marshal(string(s))
		require.NoError(t, err)
		require.Equal(t, unquoted(t, string(encoded)), unquoted(t, string(SafeJSON(encoded))))
		require.Equal(t, textOf(string(s)), textOf(unquoted(t, quoted)))
		for _, out := range []string{text, quoted, string(SafeJSON(encoded))} {
			require.True(t, utf8.ValidString(out))
			for _, r := range out {
				require.True(t, r == utf8.RuneError || Printable(r), "%q", r)
			}
		}
	})
}

func TestDotsStandForEveryByteThatIsNotPrintableASCII(t *testing.T) {
	for n := range 20 {
		for c := range 256 {
			for _, filler := range []string{"~", " ", "\xff", "\x00"} {
				s := []byte(strings.Repeat(filler, 20))
				s[n] = byte(c)
				want := []byte("kept:")
				for _, b := range s {
					if b < ' ' || b > '~' {
						b = '.'
					}
					want = append(want, b)
				}
				require.Equal(t, string(want), string(AppendDots([]byte("kept:"), s)))
				require.Equal(t, bytes.Equal(want[len("kept:"):], s), Plain(s))
			}
		}
	}
}
