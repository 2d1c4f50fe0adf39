// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package object

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// words builds memory from numbers, in the machine's order.
type words struct{ b []byte }

func (w *words) u16(v uint16) { w.b = binary.NativeEndian.AppendUint16(w.b, v) }
func (w *words) u32(v uint32) { w.b = binary.NativeEndian.AppendUint32(w.b, v) }
func (w *words) u64(v uint64) { w.b = binary.NativeEndian.AppendUint64(w.b, v) }

func (w *words) align(n int) {
	for len(w.b)%n != 0 {
		w.b = append(w.b, 0)
	}
}

// layouts are the structs that {name: value} may be where an argument points
// to one: "bytes name" each, naturally aligned. `nested` names another layout.
var layouts = map[string]string{
	"timespec":    "8 tv_sec, 8 tv_nsec",
	"timeval":     "8 tv_sec, 8 tv_usec",
	"itimerspec":  "timespec it_interval, timespec it_value",
	"itimerval":   "timeval it_interval, timeval it_value",
	"rlimit":      "8 rlim_cur, 8 rlim_max",
	"timezone":    "4 tz_minuteswest, 4 tz_dsttime",
	"utimbuf":     "8 actime, 8 modtime",
	"sembuf":      "2 sem_num, 2 sem_op, 2 sem_flg",
	"pollfd":      "4 fd, 2 events, 2 revents",
	"iovec":       "8 iov_base, 8 iov_len",
	"open_how":    "8 flags, 8 mode, 8 resolve",
	"sched_param": "4 sched_priority",
	"sched_attr":  "4 size, 4 sched_policy, 8 sched_flags, 4 sched_nice, 4 sched_priority, 8 sched_runtime, 8 sched_deadline, 8 sched_period, 4 sched_util_min, 4 sched_util_max",
	"flock":       "2 l_type, 2 l_whence, 8 l_start, 8 l_len, 4 l_pid",
	"mq_attr":     "8 mq_flags, 8 mq_maxmsg, 8 mq_msgsize, 8 mq_curmsgs, 8 r0, 8 r1, 8 r2, 8 r3",
	"mount_attr":  "8 attr_set, 8 attr_clr, 8 propagation, 8 userns_fd",
	"clone_args":  "8 flags, 8 pidfd, 8 child_tid, 8 parent_tid, 8 exit_signal, 8 stack, 8 stack_size, 8 tls, 8 set_tid, 8 set_tid_size, 8 cgroup",
}

var layoutAliases = map[string]string{
	"__kernel_timespec": "timespec", "__kernel_old_timeval": "timeval", "__kernel_itimerspec": "itimerspec",
	"__kernel_old_itimerval": "itimerval", "rlimit64": "rlimit", "old_timespec32": "timespec",
}

// layout makes the memory of {name: value} or [value, ...] for an argument of
// the C type.
func layout(v any, ctype string) ([]byte, error) {
	name := strings.TrimSpace(strings.NewReplacer("const ", "", "struct ", "", "union ", "", "__user", "", "*", "").Replace(ctype))
	var w words
	if list, ok := v.([]any); ok {
		for i, e := range list {
			if _, isStruct := e.(*expr.StructValue); isStruct {
				if err := place(&w, e, name); err != nil {
					return nil, fmt.Errorf("element %d: %w", i, err)
				}
				continue
			}
			size := scalarSize(name, strings.Count(ctype, "*"))
			if size == 0 {
				return nil, fmt.Errorf("no layout for a list of %s", name)
			}
			if err := scalar(&w, e, size); err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
		}
		return w.b, nil
	}
	err := place(&w, v, name)
	return w.b, err
}

// scalarSize is the size of what a pointer to the C type points to.
func scalarSize(name string, stars int) int {
	if stars > 1 {
		return 8
	}
	switch name {
	case "int", "unsigned int", "unsigned", "pid_t", "uid_t", "gid_t", "u32", "__u32", "__s32", "key_serial_t", "mode_t", "socklen_t":
		return 4
	case "long", "unsigned long", "size_t", "loff_t", "off_t", "u64", "__u64", "__s64", "aio_context_t", "sigset_t", "void":
		return 8
	case "short", "unsigned short", "u16":
		return 2
	case "char", "unsigned char", "u8":
		return 1
	}
	return 0
}

func scalar(w *words, v any, size int) error {
	n, err := Register(v, "")
	if err != nil {
		return err
	}
	w.align(size)
	switch size {
	case 1:
		w.b = append(w.b, byte(n))
	case 2:
		w.u16(uint16(n))
	case 4:
		w.u32(uint32(n))
	default:
		w.u64(uint64(n))
	}
	return nil
}

func place(w *words, v any, name string) error {
	if alias, ok := layoutAliases[name]; ok {
		name = alias
	}
	text, ok := layouts[name]
	if !ok {
		return fmt.Errorf("no layout for %q", name)
	}
	s, ok := v.(*expr.StructValue)
	if !ok {
		return fmt.Errorf("%s wants {name: value}", name)
	}
	var known []string
	widest := 1
	for f := range strings.SplitSeq(text, ", ") {
		typ, field, _ := strings.Cut(f, " ")
		known = append(known, field)
		value, err := s.Field(field)
		if len(typ) > 1 { // another struct
			w.align(8)
			widest = 8
			if err != nil {
				value = &expr.StructValue{}
			}
			if err := place(w, value, typ); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
			continue
		}
		if err != nil {
			value = int64(0)
		}
		size := int(typ[0] - '0')
		widest = max(widest, size)
		if err := scalar(w, value, size); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	for _, n := range s.Names {
		if !slices.Contains(known, n) {
			return fmt.Errorf("%s has no field %s (it has %s)", name, n, strings.Join(known, ", "))
		}
	}
	w.align(widest)
	return nil
}

// Register is what a register gets for v: a number, or the address of memory.
func Register(v any, ctype string) (uintptr, error) {
	switch v := v.(type) {
	case *Object:
		if v.hasAddr {
			return uintptr(v.addr), nil
		}
		return Register(v.plain, ctype)
	case string:
		r, err := newRegionOf(append([]byte(v), 0))
		return uintptr(r.Addr()), err
	case []byte:
		r, err := newRegionOf(v)
		return uintptr(r.Addr()), err
	case *expr.StructValue, []any:
		b, err := layout(v, ctype)
		if err != nil {
			return 0, err
		}
		r, err := newRegionOf(b)
		return uintptr(r.Addr()), err
	}
	n, err := expr.ToInt(v)
	return uintptr(n), err
}
