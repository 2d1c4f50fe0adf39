// SPDX-License-Identifier: Apache-2.0

package output

import (
	"math"
	"strconv"

	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
	"github.com/scaplab/scaplab/sinsp/field"
	"github.com/scaplab/scaplab/sinsp/filter"
)

// jsonForm is how a value is written in JSON.
type jsonForm uint8

const (
	jsonString jsonForm = iota
	jsonNumber
	jsonBool
	jsonTime   // a time of day: ns since the Unix epoch, which is the same everywhere
	jsonParams // evt.args: an object
)

func jsonFormOf(v *filter.Value) jsonForm {
	if ref := v.Field(); ref != nil {
		switch ref.Name {
		case "evt.time", "evt.time.s", "evt.time.iso8601", "evt.datetime", "evt.datetime.s", "evt.outputtime":
			return jsonTime
		case "evt.args":
			return jsonParams
		}
	}
	switch {
	case v.Type() == field.Bool:
		return jsonBool
	case v.Type().Numeric() && v.Format() != event.FormatHex && v.Format() != event.FormatOct && v.Format() != event.FormatDir:
		return jsonNumber
	}
	return jsonString
}

// AppendJSON appends ev as a JSON object with the fields of the template, sorted by
// name. Numbers and truth values are JSON's own (numbers beyond 2^53 are strings, since
// readers with doubles round them), lists are arrays, a missing value is null, everything
// else is a string. evt.args is an object with the params. ok is as for [Format.Append].
func (f *Format) AppendJSON(dst []byte, ev *sinsp.Event) (out []byte, ok bool) {
	begin := len(dst)
	for i := range f.keys {
		p := &f.keys[i]
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		dst = append(append(dst, sep), p.name...)
		v, ok := p.get(ev)
		switch {
		case !ok && f.lenient:
			dst = append(dst, "null"...)
		case !ok:
			return dst[:begin], false
		case p.json == jsonTime:
			dst = f.appendUint(dst, ev.Timestamp())
		case p.json == jsonParams:
			dst = f.appendParams(dst, ev)
		case p.value.Many() == field.One:
			dst = f.appendJSONValue(dst, p, v)
		default:
			dst = append(dst, '[')
			for i := range v.List {
				if i > 0 {
					dst = append(dst, ',')
				}
				dst = f.appendJSONValue(dst, p, &v.List[i])
			}
			dst = append(dst, ']')
		}
	}
	if len(f.keys) == 0 {
		dst = append(dst, '{')
	}
	return append(dst, '}'), true
}

func (f *Format) appendJSONValue(dst []byte, p *piece, v *field.Value) []byte {
	switch p.json {
	case jsonNumber:
		switch p.value.Type() {
		case field.Int:
			return f.appendInt(dst, v.Signed())
		case field.Double:
			if d := v.Float(); !math.IsNaN(d) && !math.IsInf(d, 0) {
				return strconv.AppendFloat(dst, d, 'g', -1, 64)
			}
			return append(dst, "null"...)
		}
		return f.appendUint(dst, v.Num)
	case jsonBool:
		return strconv.AppendBool(dst, v.Num != 0)
	}
	switch p.value.Type() {
	case field.String:
		return escape.AppendJSON(dst, v.Str)
	case field.Bytes:
		f.scratch = appendBuffer(f.scratch[:0], v.Str, f.opts.Buffers)
	case field.Opaque:
		f.scratch = appendBuffer(f.scratch[:0], v.Str, Dots)
	default:
		f.scratch = v.AppendText(f.scratch[:0], p.value.Type(), p.value.Format())
	}
	return escape.AppendJSON(dst, f.scratch)
}

// appendParams appends the params that the table knows as an object: numbers as numbers,
// a value without a number as what it means.
func (f *Format) appendParams(dst []byte, ev *sinsp.Event) []byte {
	info := ev.Info()
	dst = append(dst, '{')
	if info != nil {
		for i := range min(ev.NumParams(), len(info.Params)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = escape.AppendJSON(dst, []byte(info.Params[i].Name))
			dst = append(dst, ':')
			dst = f.appendParam(dst, ev, i, &info.Params[i])
		}
	}
	return append(dst, '}')
}

func (f *Format) appendParam(dst []byte, ev *sinsp.Event, i int, p *event.ParamInfo) []byte {
	value := ev.Param(i)
	if len(value) == 0 {
		return append(dst, "null"...)
	}
	if size, ok := p.Type.Size(); ok && size == len(value) && p.Names == nil && (p.Format == event.FormatDec || p.Format == event.FormatID) && isNumber(p.Type) {
		n := p.Type.Number(value)
		if p.Type.Signed() {
			return f.appendInt(dst, int64(n))
		}
		return f.appendUint(dst, n)
	}
	f.arg.Index = uint64(i)
	if f.argText.Extract(ev, &f.arg, &f.param) {
		return escape.AppendJSON(dst, f.param.Str)
	}
	return append(dst, "null"...)
}

// isNumber reports whether the number is all that a value of the type says.
func isNumber(t event.ParamType) bool {
	switch t {
	case event.ParamInt8, event.ParamInt16, event.ParamInt32, event.ParamInt64, event.ParamErrno, event.ParamFD, event.ParamFD32,
		event.ParamPID, event.ParamPID32, event.ParamUint8, event.ParamUint16, event.ParamUint32, event.ParamUint64,
		event.ParamUID, event.ParamGID, event.ParamReltime, event.ParamAbstime, event.ParamPort:
		return true
	}
	return false
}

// exactMax is the largest number up to which all whole numbers are exact in a double,
// which many readers of JSON use: larger ones are strings.
const exactMax = 1 << 53

func exactUint(dst []byte, n uint64) []byte {
	if n <= exactMax {
		return strconv.AppendUint(dst, n, 10)
	}
	return append(strconv.AppendUint(append(dst, '"'), n, 10), '"')
}

func exactInt(dst []byte, n int64) []byte {
	if n >= -exactMax && n <= exactMax {
		return strconv.AppendInt(dst, n, 10)
	}
	return append(strconv.AppendInt(append(dst, '"'), n, 10), '"')
}

func (f *Format) appendUint(dst []byte, n uint64) []byte {
	if f.opts.Numbers {
		return strconv.AppendUint(dst, n, 10)
	}
	return exactUint(dst, n)
}

func (f *Format) appendInt(dst []byte, n int64) []byte {
	if f.opts.Numbers {
		return strconv.AppendInt(dst, n, 10)
	}
	return exactInt(dst, n)
}
