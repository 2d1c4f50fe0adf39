// SPDX-License-Identifier: Apache-2.0

package field

import (
	"encoding/binary"
	"math"

	"github.com/scaplab/scaplab/internal/decimal"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// maxBuffer is how many bytes of each buffer evt.args has, with dots at its end
// if there were more.
const maxBuffer = 80

// Full as the [Arg.Text] of evt.args and evt.info asks for buffers as long as they are.
const Full = "full"

// argForm is how evt.args writes a param: most are of a few kinds, whose text takes less
// time than that of any param does.
type argForm uint8

const (
	argAny    argForm = iota
	argInt            // a signed number that means nothing
	argUint           // an unsigned one
	argErrno          // a signed number of 8 bytes; below 0 it may have a name
	argFD             // the same, and a file if it is not below 0
	argBuffer         // bytes
)

// argOf is what evt.args needs to know of a param.
type argOf struct {
	name string // with a blank in front, but for the first, and = behind
	form argForm
	size int // of values of a form with a size
	info *event.ParamInfo
}

// argsOf has the params of each code; nil of generic events, which have only internal ones.
var argsOf = event.MakeByCode(nil, func(in *event.Info) []argOf {
	if findRoles(in).syscall >= 0 {
		return nil
	}
	args := make([]argOf, len(in.Params))
	for i := range in.Params {
		p := &in.Params[i]
		args[i] = argOf{name: " " + p.Name + "=", form: argFormOf(p), info: p}
		args[i].size, _ = p.Type.Size()
	}
	if len(args) > 0 {
		args[0].name = args[0].name[1:]
	}
	return args
})

func argFormOf(p *event.ParamInfo) argForm {
	decimal := p.Format == event.FormatDec || p.Format == event.FormatNA || p.Format == event.FormatID
	switch p.Type {
	case event.ParamBytebuf:
		return argBuffer
	case event.ParamErrno:
		return argErrno
	case event.ParamFD:
		if decimal {
			return argFD
		}
	case event.ParamInt8, event.ParamInt16, event.ParamInt32, event.ParamInt64:
		if decimal {
			return argInt
		}
	case event.ParamUint8, event.ParamUint16, event.ParamUint32, event.ParamUint64:
		if decimal {
			return argUint
		}
	}
	return argAny
}

func extractArgs(ev *sinsp.Event, arg *Arg, v *Value) bool {
	return v.SetScratch(appendArgs(v.Scratch(), ev, arg))
}

// appendArgs appends name=value or name=value(meaning) for all params.
func appendArgs(dst []byte, ev *sinsp.Event, arg *Arg) []byte {
	args := *argsOf.At(ev.Type())
	limit := maxBuffer
	if arg.Text == Full {
		limit = math.MaxInt
	}
	for i, value := range ev.Params() {
		if i == len(args) {
			break
		}
		dst = append(dst, args[i].name...)
		dst = args[i].append(dst, ev, value, limit)
	}
	return dst
}

// append appends the value, and in parentheses what it means.
func (a *argOf) append(b []byte, ev *sinsp.Event, value []byte, limit int) []byte {
	if len(value) != 0 && len(value) == a.size {
		switch a.form {
		case argInt:
			return decimal.AppendInt(b, int64(a.info.Type.Number(value)))
		case argUint:
			return decimal.AppendUint(b, a.info.Type.Number(value))
		case argErrno, argFD:
			n := int64(binary.NativeEndian.Uint64(value))
			if b = decimal.AppendInt(b, n); n >= 0 && a.form == argErrno {
				return b
			}
			begin := len(b)
			var ok bool
			if b = append(b, '('); n >= 0 {
				b, ok = appendFile(b, ev, event.FD(n))
			} else {
				b, ok = a.info.AppendResolved(b, value)
			}
			if !ok {
				return b[:begin]
			}
			return append(b, ')')
		}
	}
	b = appendRaw(b, ev, a.info, value, limit)
	if a.form == argBuffer {
		return b
	}
	begin := len(b)
	b, ok := appendMeaning(append(b, '('), ev, a.info, value)
	if !ok {
		return b[:begin]
	}
	return append(b, ')')
}
