// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// cIntegers maps C's integer types to wire types, by width: long is 64 bits on
// every architecture of the table.
var cIntegers = map[string]string{
	"char": "int8", "signed char": "int8", "unsigned char": "uint8", "u8": "uint8", "__u8": "uint8", "__s8": "int8", "s8": "int8",
	"short": "int16", "unsigned short": "uint16", "u16": "uint16", "__u16": "uint16", "s16": "int16", "__s16": "int16",
	"int": "int32", "signed int": "int32", "s32": "int32", "__s32": "int32", "key_t": "int32", "clockid_t": "int32", "timer_t": "int32",
	"mqd_t": "int32", "key_serial_t": "int32", "rwf_t": "int32",
	"unsigned": "uint32", "unsigned int": "uint32", "u32": "uint32", "__u32": "uint32", "qid_t": "uint32", "id_t": "int32",
	"long": "int64", "long int": "int64", "long long": "int64", "s64": "int64", "__s64": "int64", "ssize_t": "int64", "off_t": "int64", "loff_t": "int64",
	"size_t": "uint64", "unsigned long": "uint64", "unsigned long long": "uint64", "u64": "uint64", "__u64": "uint64",
	"aio_context_t": "uint64", "old_sigset_t": "uint64", "uintptr_t": "uint64",
}

// Pointers behind a typedef.
var cPointers = map[string]bool{
	"cap_user_header_t": true, "cap_user_data_t": true, "__sighandler_t": true, "sighandler_t": true, "__sigrestore_t": true,
}

var pathWords = []string{"path", "name", "file", "dir", "old", "new", "target", "link", "root"}

func isPointer(ctype string) bool { return strings.HasSuffix(ctype, "*") || cPointers[ctype] }

func isFDName(name string) bool {
	return strings.HasSuffix(name, "fd") || strings.HasPrefix(name, "fd_")
}

func isDirFDName(name string) bool {
	return strings.HasSuffix(name, "dfd") || strings.HasSuffix(name, "dirfd")
}

// inferType gives a param for a C argument its wire type and printing; prev is
// the argument before it, which may be the directory a path starts from. It
// reports false when the C type says too little.
func inferType(arg CParam, prev *CParam, p *Param) bool {
	t := strings.TrimPrefix(arg.Type, "const ")
	switch {
	case arg.Type == "const char *":
		p.Type = "charbuf"
		for _, w := range pathWords {
			if strings.Contains(arg.Name, w) {
				p.Type = "fspath"
			}
		}
		if p.Type == "fspath" && prev != nil && !isPointer(prev.Type) && isDirFDName(prev.Name) {
			p.Type, p.Base = "fsrelpath", prev.Name
		}
	case isPointer(t):
		p.Type, p.Show = "uint64", "hex"
	case (t == "int" || t == "unsigned int" || t == "unsigned") && isFDName(arg.Name):
		p.Type = "fd"
	case t == "pid_t":
		p.Type = "pid"
	case t == "uid_t":
		p.Type = "uid"
	case t == "gid_t":
		p.Type = "gid"
	case t == "umode_t" || t == "mode_t":
		p.Type, p.Show = "uint32", "oct"
	case strings.HasPrefix(t, "enum "):
		p.Type = "uint32"
	default:
		p.Type = cIntegers[t]
	}
	return p.Type != ""
}

// inferRet gives a param that carries the return value its type.
func inferRet(p *Param) {
	switch p.Name {
	case "fd":
		p.Type = "fd"
	case "pid":
		p.Type = "pid"
	default:
		p.Type = "errno"
	}
}

// inferExit makes the params of an entry without an exit list: the return
// value as first says, then one param per argument.
func (l *loader) inferExit(s *Syscall, first string, sig *Signature) []*Param {
	if first == "" {
		first = "res"
	}
	ret := &Param{Pos: s.Pos, typePos: s.Pos, Name: first, From: &expr.Node{Kind: expr.Name, Pos: s.Pos, Text: "ret"}}
	inferRet(ret)
	l.defaults(ret)
	params := []*Param{ret}
	for i, arg := range s.Params {
		pos := s.Pos
		pos.Col += sig.At[i]
		subject := s.Name + ": " + arg.Name
		if arg.Name == first {
			l.errs.Add(pos, subject, "argument has the name of the param for the return value (write an exit list)")
			continue
		}
		p := &Param{Pos: pos, typePos: pos, Name: arg.Name, From: &expr.Node{Kind: expr.Name, Pos: pos, Text: arg.Name}}
		var prev *CParam
		if i > 0 {
			prev = &s.Params[i-1]
		}
		if !inferType(arg, prev, p) {
			l.errs.Add(pos, subject, "no wire type follows from C type %s (write an exit list)", arg.Type)
			continue
		}
		l.defaults(p)
		params = append(params, p)
	}
	return params
}

// defaults fills in what the type decides.
func (l *loader) defaults(p *Param) {
	if p.Show == "" {
		p.Show = l.typ(p.Type).Show
	}
}

// inferFlags gives an event of ours the flags that follow from its params.
func inferFlags(ev *Event, state bool) []string {
	var creates, uses bool
	for i, p := range ev.Params {
		switch {
		case p.Type != "fd":
		case i == 0 && isName(p.From, "ret"):
			creates = true
		default:
			uses = true
		}
	}
	var flags []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"creates_fd", creates}, {"uses_fd", uses}, {"modifies_state", state}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	return flags
}

// RegisterBits tells how many bits of a register count for an argument of a C type,
// and whether they are signed.
func RegisterBits(t string) (bits int, signed bool) {
	if strings.Contains(t, "*") || strings.Contains(t, "[") {
		return 64, false
	}
	t = strings.TrimPrefix(strings.TrimSpace(t), "const ")
	switch t {
	case "int", "pid_t", "__kernel_pid_t", "key_t", "key_serial_t", "clockid_t", "timer_t", "mqd_t", "rwf_t",
		"__s32", "s32", "int32_t", "signed int", "__kernel_timer_t", "__kernel_clockid_t":
		return 32, true
	case "unsigned", "unsigned int", "uid_t", "gid_t", "qid_t", "u32", "__u32", "uint32_t", "uint", "mode_t",
		"socklen_t", "dev_t":
		return 32, false
	case "umode_t", "unsigned short", "u16", "__u16", "old_uid_t", "old_gid_t":
		return 16, false
	case "short", "s16", "__s16":
		return 16, true
	case "unsigned char", "u8", "__u8":
		return 8, false
	case "char", "signed char", "s8", "__s8":
		return 8, true
	case "long", "ssize_t", "off_t", "loff_t", "s64", "__s64", "int64_t", "long long", "time_t", "ptrdiff_t":
		return 64, true
	}
	if strings.HasPrefix(t, "enum ") {
		return 32, false
	}
	return 64, false
}

func isInt(n *expr.Node, v int64) bool { return n != nil && n.Kind == expr.Int && n.Num == v }

func isName(n *expr.Node, text string) bool {
	return n != nil && n.Kind == expr.Name && n.Text == text
}

// fdParam picks the param that is "the fd" of an event that has one: named fd,
// else the first descriptor.
func fdParam(ev *Event) int {
	about := false
	for _, f := range ev.Flags {
		switch f {
		case "creates_fd", "uses_fd", "destroys_fd", "reads_from_fd", "writes_to_fd":
			about = true
		}
	}
	if !about {
		return -1
	}
	first := -1
	for i, p := range ev.Params {
		if p.Type != "fd" && p.Type != "fd32" {
			continue
		}
		if p.Name == "fd" {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}
