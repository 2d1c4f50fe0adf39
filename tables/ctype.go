// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cType is an integer type of C.
type cType struct {
	bits   int // in 64-bit tasks
	signed bool
	long   bool   // has 32 bits in 32-bit tasks
	wire   string // wire type of an argument; "": the integer of that width
}

func (c cType) wireType() string {
	if c.wire != "" {
		return c.wire
	}
	if c.signed {
		return fmt.Sprintf("int%d", c.bits)
	}
	return fmt.Sprintf("uint%d", c.bits)
}

// cTypes are the integer types that arguments and members of structs have. Long
// is 64 bits on every architecture of the table.
var cTypes = map[string]cType{}

func init() {
	for _, row := range []struct {
		cType
		names string // separated by commas
	}{
		{cType{bits: 8, signed: true}, "char, signed char, s8, __s8"},
		{cType{bits: 8}, "unsigned char, u8, __u8"},
		{cType{bits: 16, signed: true}, "short, short int, s16, __s16"},
		{cType{bits: 16}, "unsigned short, unsigned short int, u16, __u16, old_uid_t, old_gid_t"},
		{cType{bits: 32, signed: true}, "int, signed int, s32, __s32, int32_t, key_t, clockid_t, timer_t, mqd_t, key_serial_t, rwf_t, id_t"},
		{cType{bits: 32}, "unsigned, unsigned int, u32, __u32, uint32_t, qid_t, socklen_t, dev_t"},
		{cType{bits: 64, signed: true, long: true}, "long, long int, signed long, ssize_t, off_t, time_t, ptrdiff_t"},
		{cType{bits: 64, signed: true}, "long long, s64, __s64, int64_t, loff_t"},
		{cType{bits: 64, long: true}, "unsigned long, unsigned long int, size_t, uintptr_t, aio_context_t, old_sigset_t"},
		{cType{bits: 64}, "unsigned long long, u64, __u64, uint64_t"},
		{cType{bits: 32, signed: true, wire: "pid"}, "pid_t"},
		{cType{bits: 32, wire: "uid"}, "uid_t"},
		{cType{bits: 32, wire: "gid"}, "gid_t"},
		{cType{bits: 32, wire: "uint32"}, "mode_t"},
		{cType{bits: 16, wire: "uint32"}, "umode_t"},
	} {
		for name := range strings.SplitSeq(row.names, ", ") {
			cTypes[name] = row.cType
		}
	}
}

// cTypeOf returns the integer type of that name; an enum is unsigned.
func cTypeOf(name string) (cType, bool) {
	name = strings.TrimPrefix(strings.TrimSpace(name), "const ")
	if strings.HasPrefix(name, "enum ") {
		return cType{bits: 32}, true
	}
	c, ok := cTypes[name]
	return c, ok
}

func cTypeNames() []string { return slices.Sorted(maps.Keys(cTypes)) }

// CSizes returns the sizes in bytes of C's integer types, by name, in 64-bit tasks.
func CSizes() map[string]int {
	out := map[string]int{}
	for name, c := range cTypes {
		out[name] = c.bits / 8
	}
	return out
}

// Typedefs of pointers.
var cPointers = []string{"cap_user_header_t", "cap_user_data_t", "__sighandler_t", "sighandler_t", "__sigrestore_t"}

// IsPointer reports whether an argument of a C type is an address.
func IsPointer(ctype string) bool {
	return strings.HasSuffix(ctype, "*") || slices.Contains(cPointers, strings.TrimPrefix(ctype, "const "))
}

// IsFDName reports whether an int of that name is a descriptor.
func IsFDName(name string) bool {
	return strings.HasSuffix(name, "fd") || strings.HasPrefix(name, "fd_")
}

func isDirFDName(name string) bool {
	return strings.HasSuffix(name, "dfd") || strings.HasSuffix(name, "dirfd")
}

// RegisterBits returns how many bits of a register are significant for an argument of
// a C type, and whether they are signed.
func RegisterBits(t string) (bits int, signed bool) {
	if c, ok := cTypeOf(t); ok && !IsPointer(t) {
		return c.bits, c.signed
	}
	return 64, false
}
