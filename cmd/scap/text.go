// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/cli"
	"github.com/scaplab/scaplab/internal/escape"
	"github.com/scaplab/scaplab/scap/event"
)

// printer writes events as lines, in sysdig's default format or as JSON:
//
//	12 14:03:59.000000700 1 nginx (1047) < openat fd=5 dirfd=-100(AT_FDCWD) name=/etc/hosts ...
type printer struct {
	out   io.Writer
	buf   []byte
	json  bool
	time  string // absolute, relative, delta, epoch, full
	all   bool   // also events that only update the state
	whole bool   // print buffers in full
	in    inspector
	first uint64 // timestamp of the first event
	last  uint64 // of the previous event
	begun bool

	second  uint64 // the second that clock is for
	clock   []byte
	scratch []byte
}

func (t *textFlags) printer(out io.Writer, in inspector) (*printer, error) {
	style, err := t.style()
	if err != nil {
		return nil, cli.Usage(err)
	}
	return &printer{out: out, json: t.json, all: t.all, whole: t.whole, time: style.name, in: in}, nil
}

var _ presenter = (*printer)(nil)

func (p *printer) shown(ev *event.Event) bool {
	if p.all {
		return true
	}
	return !ev.Hidden() && !quietTypes()[ev.Type()]
}

// quietTypes returns the events that sysdig does not print, either: those that only bring
// the state of the machine, such as containers and users, and enter events whose params
// the exit event repeats.
var quietTypes = sync.OnceValue(func() map[event.Type]bool {
	types := map[event.Type]bool{event.TypeExecveEnter: true, event.TypeExecveatEnter: true}
	for info := range event.All() {
		meta := info.Source == event.SourceMetaevent
		internal := info.Category == event.CategoryInternal && info.Name != "drop"
		state := info.Flags&event.ModifiesState != 0 && info.Code != event.TypeCPUHotplugEnter
		if meta && (internal || state) {
			types[info.Code] = true
		}
	}
	for _, e := range driver.Events() {
		if t := event.Type(e.Code); t.Enter() && len(e.Calls) > 0 {
			types[t] = true
		}
	}
	return types
})

// print appends the line of ev, which is number num of its capture.
func (p *printer) print(num uint64, ev *event.Event) error {
	if !p.begun {
		p.begun, p.first, p.last = true, ev.Timestamp(), ev.Timestamp()
	}
	if p.json {
		p.appendJSON(num, ev)
	} else {
		p.appendLine(num, ev)
	}
	p.last = ev.Timestamp()
	if len(p.buf) >= 64<<10 {
		return p.flush()
	}
	return nil
}

func (p *printer) flush() error {
	_, err := p.out.Write(p.buf)
	p.buf = p.buf[:0]
	return err
}

func (p *printer) appendLine(num uint64, ev *event.Event) {
	b := strconv.AppendUint(p.buf, num, 10)
	b = append(b, ' ')
	b = p.appendTime(b, ev.Timestamp())
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(ev.CPU()), 10)
	b = append(b, ' ')
	b = p.appendComm(b, ev.TID())
	b = append(b, " ("...)
	b = strconv.AppendInt(b, int64(ev.TID()), 10)
	b = append(b, ") "...)
	b = append(b, direction(ev.Type()), ' ')
	if name := genericName(ev); name != "" {
		b = append(b, name...) // the params have no more information
	} else if info := ev.Info(); info != nil {
		b = append(b, info.Name...)
		if ev.NumParams() > 0 {
			b = append(b, ' ')
			b = p.appendArgs(b, ev, info)
		}
	} else {
		b = append(b, "unknown("...)
		b = strconv.AppendUint(b, uint64(ev.Type()), 10)
		b = append(b, ')')
	}
	p.buf = append(b, '\n')
}

// maxBuffer is how much of a buffer a line shows.
const maxBuffer = 80

// appendArgs is [event.Event.AppendArgs] with long buffers cut.
func (p *printer) appendArgs(b []byte, ev *event.Event, info *event.Info) []byte {
	if p.whole {
		return ev.AppendArgs(b)
	}
	for i, v := range ev.Params() {
		if i == len(info.Params) {
			break
		}
		if i > 0 {
			b = append(b, ' ')
		}
		par := &info.Params[i]
		b = append(b, par.Name...)
		b = append(b, '=')
		if par.Type == event.ParamBytebuf && len(v) > maxBuffer {
			const dots = "..."
			b = append(par.AppendArg(b, v[:maxBuffer-len(dots)]), dots...)
			continue
		}
		b = par.AppendArg(b, v)
	}
	return b
}

// genericName returns the name of the call that a generic event stands for, by its
// code, or if that is 0 by its number on this architecture; "" for other events.
func genericName(ev *event.Event) string {
	if ev.Type() > event.TypeGenericExit {
		return ""
	}
	code, nr := ev.Param(0), ev.Param(1)
	if len(code) == 2 {
		if name := event.SyscallName(binary.NativeEndian.Uint16(code)); name != "" {
			return name
		}
	}
	if len(nr) == 2 {
		return nativeNames()[binary.NativeEndian.Uint16(nr)]
	}
	return ""
}

// nativeNames returns the names of syscalls by their number on this architecture.
var nativeNames = sync.OnceValue(func() map[uint16]string {
	names := map[uint16]string{}
	for _, id := range driver.IDs() {
		if n, ok := id.NR.Number(runtime.GOARCH); ok && names[uint16(n)] == "" {
			names[uint16(n)] = id.Name
		}
	}
	return names
})

func direction(t event.Type) byte {
	if t.Enter() {
		return '>'
	}
	return '<'
}

// nameParam prints the names of processes and machines, which are not params, like any
// other string: anyone can choose such a name, with line feeds and terminal control
// sequences.
var nameParam = event.ParamInfo{Type: event.ParamCharbuf}

func (p *printer) appendComm(b []byte, tid event.PID) []byte {
	return nameParam.AppendRaw(b, p.in.comm(tid))
}

func (p *printer) appendTime(b []byte, ts uint64) []byte {
	switch p.time {
	case "relative":
		return appendSeconds(b, int64(ts-p.first))
	case "delta":
		return appendSeconds(b, int64(ts-p.last))
	case "epoch":
		return appendSeconds(b, int64(ts))
	case "full":
		return event.AppendTime(b, ts)
	}
	// Most events are in the same second as the one before.
	if sec := ts / 1e9; sec != p.second || p.clock == nil {
		p.second = sec
		p.clock = time.Unix(int64(sec), 0).AppendFormat(p.clock[:0], "15:04:05.")
	}
	return appendPadded(append(b, p.clock...), ts%1e9)
}

func appendSeconds(b []byte, ns int64) []byte {
	if ns < 0 {
		b = append(b, '-')
		ns = -ns
	}
	b = strconv.AppendInt(b, ns/1e9, 10)
	return appendPadded(append(b, '.'), uint64(ns%1e9))
}

func appendPadded(b []byte, v uint64) []byte {
	var digits [9]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	return append(b, digits[:]...)
}

// appendJSON appends one object. Numbers are JSON numbers, or strings beyond 2^53, from
// where on many readers round them; a time is its ns since the Unix epoch. Everything
// else is the same text as in lines.
func (p *printer) appendJSON(num uint64, ev *event.Event) {
	b := append(p.buf, `{"evt.num":`...)
	b = exact(strconv.AppendUint(b, num, 10), len(b))
	b = append(b, `,"evt.rawtime":`...)
	b = exact(strconv.AppendUint(b, ev.Timestamp(), 10), len(b))
	b = append(b, `,"evt.cpu":`...)
	b = strconv.AppendInt(b, int64(ev.CPU()), 10)
	b = append(b, `,"proc.name":`...)
	at := len(b)
	b = p.quoteFrom(p.appendComm(b, ev.TID()), at)
	b = append(b, `,"thread.tid":`...)
	b = exact(strconv.AppendInt(b, int64(ev.TID()), 10), len(b))
	b = append(b, `,"evt.dir":"`...)
	b = append(b, direction(ev.Type()))
	b = append(b, `","evt.type":`...)
	at = len(b)
	info := ev.Info()
	if name := genericName(ev); name != "" {
		b = p.quoteFrom(append(b, name...), at)
	} else if info != nil {
		b = p.quoteFrom(append(b, info.Name...), at)
	} else {
		b = strconv.AppendUint(append(b, `"unknown(`...), uint64(ev.Type()), 10)
		b = append(b, `)"`...)
	}
	b = append(b, `,"evt.args":{`...)
	n := 0
	for i, v := range ev.Params() {
		if info == nil || i == len(info.Params) {
			break
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		par := &info.Params[i]
		b = append(b, '"')
		b = append(b, par.Name...)
		b = append(b, '"', ':')
		b = p.appendJSONParam(b, par, v)
	}
	p.buf = append(b, "}}\n"...)
}

func (p *printer) appendJSONParam(b []byte, par *event.ParamInfo, v []byte) []byte {
	if len(v) == 0 {
		return append(b, "null"...)
	}
	at := len(b)
	if par.Names == nil && (par.Format == event.FormatDec || par.Format == event.FormatID) {
		switch par.Type {
		case event.ParamInt8, event.ParamInt16, event.ParamInt32, event.ParamInt64, event.ParamErrno, event.ParamFD, event.ParamPID,
			event.ParamUint8, event.ParamUint16, event.ParamUint32, event.ParamUint64, event.ParamUID, event.ParamGID,
			event.ParamReltime, event.ParamPort:
			if size, _ := par.Type.Size(); size == len(v) {
				return exact(par.AppendRaw(b, v), at)
			}
		case event.ParamAbstime:
			if len(v) == 8 {
				return exact(strconv.AppendUint(b, binary.NativeEndian.Uint64(v), 10), at)
			}
		}
	}
	return p.quoteFrom(par.AppendText(b, v), at)
}

// exact quotes the decimal number b[at:] if a double cannot hold it and its neighbours.
func exact(b []byte, at int) []byte {
	const limit, digits = "9007199254740992", len("9007199254740992") // 2^53
	d := b[at:]
	if len(d) > 0 && d[0] == '-' {
		d = d[1:]
	}
	if len(d) < digits || len(d) == digits && string(d) <= limit {
		return b
	}
	b = append(b, 0, '"')
	copy(b[at+1:], b[at:len(b)-2])
	b[at] = '"'
	return b
}

// quoteFrom replaces b[at:] by its JSON string.
func (p *printer) quoteFrom(b []byte, at int) []byte {
	p.scratch = append(p.scratch[:0], b[at:]...)
	return escape.AppendJSON(b[:at], p.scratch)
}
