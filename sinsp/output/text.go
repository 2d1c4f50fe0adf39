// SPDX-License-Identifier: Apache-2.0

package output

import (
	"encoding/base64"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// appendValue appends a value as text; lists as (a,b).
func (f *Format) appendValue(dst []byte, v *filter.Value, value *field.Value) []byte {
	if v.Many() == field.One {
		return f.appendOne(dst, v, value)
	}
	dst = append(dst, '(')
	for i := range value.List {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = f.appendOne(dst, v, &value.List[i])
	}
	return append(dst, ')')
}

func (f *Format) appendOne(dst []byte, v *filter.Value, value *field.Value) []byte {
	switch v.Type() {
	case field.String:
		if f.opts.Raw {
			return append(dst, value.Str...)
		}
		return escape.AppendText(dst, value.Str)
	case field.Bytes:
		if f.opts.Raw {
			return append(dst, value.Str...)
		}
		return appendBuffer(dst, value.Str, f.opts.Buffers)
	case field.Opaque:
		return appendBuffer(dst, value.Str, Dots)
	}
	return value.AppendText(dst, v.Type(), v.Format())
}

// appendBuffer appends bytes in one of the forms, none of which has control
// characters but line ends.
func appendBuffer(dst, b []byte, form Buffers) []byte {
	switch form {
	case Text:
		for _, c := range b {
			if c >= ' ' && c <= '~' || c == '\n' {
				dst = append(dst, c)
			}
		}
	case Hex:
		for i, c := range b {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = append(dst, hexDigits[c>>4], hexDigits[c&15])
		}
	case HexASCII:
		dst = appendDump(dst, b)
	case Base64:
		dst = base64.StdEncoding.AppendEncode(dst, b)
	default:
		dst = escape.AppendDots(dst, b)
	}
	return dst
}

// appendDump appends rows of 16 bytes:
//
//	0x0000: 7f45 4c46 0201 0100 0000 0000 0000 0000  .ELF............
func appendDump(dst, b []byte) []byte {
	for off := 0; off < len(b); off += 16 {
		row := b[off:min(off+16, len(b))]
		dst = append(dst, "\n\t0x"...)
		dst = append(dst, hexDigits[off>>12&15], hexDigits[off>>8&15], hexDigits[off>>4&15], hexDigits[off&15], ':')
		for i := range 16 {
			if i%2 == 0 {
				dst = append(dst, ' ')
			}
			if i < len(row) {
				dst = append(dst, hexDigits[row[i]>>4], hexDigits[row[i]&15])
			} else {
				dst = append(dst, "  "...)
			}
		}
		dst = appendBuffer(append(dst, "  "...), row, Dots)
	}
	return dst
}

const hexDigits = "0123456789abcdef"
