// SPDX-License-Identifier: Apache-2.0

package event

import (
	"iter"
	"slices"
	"strings"
)

// Info is what is known of one event type.
type Info struct {
	Code     Type
	Name     string // as filters and output have it: "openat"
	Symbol   string // unique: "openat_exit", "open_exit_v1"
	Enter    bool
	Category Category
	Source   Source
	Flags    Flags
	Params   []ParamInfo
	FDParam  int8 // the param that is "the fd", of events that have one; else -1
}

// ParamIndex is the index of the param of that name, or -1.
func (in *Info) ParamIndex(name string) int {
	return slices.IndexFunc(in.Params, func(p ParamInfo) bool { return p.Name == name })
}

// ParamInfo is what is known of one param.
type ParamInfo struct {
	Name   string
	Type   ParamType
	Format Format
	Names  *NameSet // names of the value's bits or of the value, or nil
	DirFD  int8     // ParamFSRelPath: the param with the directory's fd; -1 otherwise
	Dyn    []DynVariant
}

// DynVariant is one of the types a [ParamDyn] value may have; the value's first
// byte is the index into ParamInfo.Dyn.
type DynVariant struct {
	Type   ParamType
	Format Format
}

// NameSet is a named set of names for values. ParamFlags* and ParamMode values
// are sums of them, ParamEnumFlags* values are one of them.
type NameSet struct {
	Name   string
	Values []NamedValue // in the order they are looked for and printed
}

// NamedValue is one value, as events carry it (not always as the kernel does).
type NamedValue struct {
	Name  string
	Value uint32
}

// Value is the value of that name.
func (s *NameSet) Value(name string) (uint32, bool) {
	for i := range s.Values {
		if s.Values[i].Name == name {
			return s.Values[i].Value, true
		}
	}
	return 0, false
}

// Category is what an event is about.
type Category uint16

const (
	CategoryUnknown    Category = 0
	CategoryOther      Category = 1
	CategoryFile       Category = 2
	CategoryNet        Category = 3
	CategoryIPC        Category = 4
	CategoryMemory     Category = 5
	CategoryProcess    Category = 6
	CategorySleep      Category = 7
	CategorySystem     Category = 8
	CategorySignal     Category = 9
	CategoryUser       Category = 10
	CategoryTime       Category = 11
	CategoryProcessing Category = 12
	CategoryIORead     Category = 32
	CategoryIOWrite    Category = 33
	CategoryIOOther    Category = 34
	CategoryWait       Category = 64
	CategoryScheduler  Category = 128
	CategoryInternal   Category = 256
)

// String is the category's name as tables have it: "file", "io_read".
func (c Category) String() string {
	switch c {
	case CategoryOther:
		return "other"
	case CategoryFile:
		return "file"
	case CategoryNet:
		return "net"
	case CategoryIPC:
		return "ipc"
	case CategoryMemory:
		return "memory"
	case CategoryProcess:
		return "process"
	case CategorySleep:
		return "sleep"
	case CategorySystem:
		return "system"
	case CategorySignal:
		return "signal"
	case CategoryUser:
		return "user"
	case CategoryTime:
		return "time"
	case CategoryProcessing:
		return "processing"
	case CategoryIORead:
		return "io_read"
	case CategoryIOWrite:
		return "io_write"
	case CategoryIOOther:
		return "io_other"
	case CategoryWait:
		return "wait"
	case CategoryScheduler:
		return "scheduler"
	case CategoryInternal:
		return "internal"
	default:
		return "unknown"
	}
}

// Source is what makes events of a type. The values are the bits the reference
// schema has in the upper part of a category.
type Source uint16

const (
	SourceUnknown    Source = 0
	SourceSyscall    Source = 1 << 9
	SourceTracepoint Source = 1 << 10
	SourcePlugin     Source = 1 << 11
	SourceMetaevent  Source = 1 << 12
	SourceIter       Source = 1 << 13
)

// String is the source's name as tables have it: "syscall".
func (s Source) String() string {
	switch s {
	case SourceSyscall:
		return "syscall"
	case SourceTracepoint:
		return "tracepoint"
	case SourcePlugin:
		return "plugin"
	case SourceMetaevent:
		return "metaevent"
	case SourceIter:
		return "iter"
	default:
		return "unknown"
	}
}

// Flags say how an event is to be treated.
type Flags uint32

const (
	CreatesFD        Flags = 1 << 0
	DestroysFD       Flags = 1 << 1
	UsesFD           Flags = 1 << 2 // Info.FDParam tells which param it is
	ReadsFromFD      Flags = 1 << 3
	WritesToFD       Flags = 1 << 4
	ModifiesState    Flags = 1 << 5
	Unused           Flags = 1 << 6 // a placeholder: no producer makes it
	Waits            Flags = 1 << 7
	SkipParseReset   Flags = 1 << 8
	OldVersion       Flags = 1 << 9  // only found in older captures
	LargePayload     Flags = 1 << 11 // lengths are 4 bytes wide
	ConverterManaged Flags = 1 << 12 // older captures of it are converted
)

// ParamType is how a value stands on the wire.
type ParamType uint8

const (
	ParamNone             ParamType = 0
	ParamInt8             ParamType = 1
	ParamInt16            ParamType = 2
	ParamInt32            ParamType = 3
	ParamInt64            ParamType = 4
	ParamUint8            ParamType = 5
	ParamUint16           ParamType = 6
	ParamUint32           ParamType = 7
	ParamUint64           ParamType = 8
	ParamCharbuf          ParamType = 9  // with its NUL
	ParamBytebuf          ParamType = 10 // raw; argument, environment and cgroup lists: NUL-ended items
	ParamErrno            ParamType = 11 // int64: a result, or -errno
	ParamSockaddr         ParamType = 12 // see [SockAddr]
	ParamSocktuple        ParamType = 13 // see [SockTuple]
	ParamFD               ParamType = 14 // int64; -100 is AT_FDCWD
	ParamPID              ParamType = 15 // int64
	ParamFDList           ParamType = 16 // see [FDList]
	ParamFSPath           ParamType = 17 // as ParamCharbuf
	ParamSyscallID        ParamType = 18 // uint16: syscall code, not the native number
	ParamSigtype          ParamType = 19 // uint8: signal number
	ParamReltime          ParamType = 20 // uint64: ns
	ParamAbstime          ParamType = 21 // uint64: ns since the Unix epoch
	ParamPort             ParamType = 22 // uint16, host order
	ParamL4Proto          ParamType = 23 // uint8
	ParamSockfamily       ParamType = 24 // uint8
	ParamBool             ParamType = 25 // uint32
	ParamIPv4Addr         ParamType = 26
	ParamDyn              ParamType = 27 // index into ParamInfo.Dyn (1 byte), then the value
	ParamFlags8           ParamType = 28
	ParamFlags16          ParamType = 29
	ParamFlags32          ParamType = 30
	ParamUID              ParamType = 31 // uint32; all ones: none
	ParamGID              ParamType = 32 // uint32; all ones: none
	ParamDouble           ParamType = 33
	ParamSigset           ParamType = 34 // uint32: bit n-1 is signal n
	ParamCharbufArray     ParamType = 35
	ParamCharbufPairArray ParamType = 36
	ParamIPv4Net          ParamType = 37
	ParamIPv6Addr         ParamType = 38
	ParamIPv6Net          ParamType = 39
	ParamIPAddr           ParamType = 40 // 4 or 16 bytes
	ParamIPNet            ParamType = 41
	ParamMode             ParamType = 42 // uint32
	ParamFSRelPath        ParamType = 43 // as ParamCharbuf, relative to the fd in ParamInfo.DirFD
	ParamEnumFlags8       ParamType = 44
	ParamEnumFlags16      ParamType = 45
	ParamEnumFlags32      ParamType = 46
	ParamFD32             ParamType = 47 // int32
	ParamPID32            ParamType = 48 // int32
	paramTypes                      = 49
)

// paramSizes holds the bytes of fixed-size types, -1 for the others, and names
// as tables spell them.
var paramSizes = [paramTypes]struct {
	size int8
	name string
}{
	{0, "none"}, {1, "int8"}, {2, "int16"}, {4, "int32"}, {8, "int64"},
	{1, "uint8"}, {2, "uint16"}, {4, "uint32"}, {8, "uint64"},
	{-1, "charbuf"}, {-1, "bytebuf"}, {8, "errno"}, {-1, "sockaddr"}, {-1, "socktuple"},
	{8, "fd"}, {8, "pid"}, {-1, "fdlist"}, {-1, "fspath"}, {2, "syscallid"}, {1, "sigtype"},
	{8, "reltime"}, {8, "abstime"}, {2, "port"}, {1, "l4proto"}, {1, "sockfamily"}, {4, "bool"},
	{4, "ipv4addr"}, {-1, "dyn"}, {1, "flags8"}, {2, "flags16"}, {4, "flags32"},
	{4, "uid"}, {4, "gid"}, {8, "double"}, {4, "sigset"}, {-1, "charbufarray"}, {-1, "charbuf_pair_array"},
	{-1, "ipv4net"}, {16, "ipv6addr"}, {-1, "ipv6net"}, {-1, "ipaddr"}, {-1, "ipnet"}, {4, "mode"},
	{-1, "fsrelpath"}, {1, "enumflags8"}, {2, "enumflags16"}, {4, "enumflags32"}, {4, "fd32"}, {4, "pid32"},
}

// Size is the number of bytes every value of the type has; false when it varies.
func (t ParamType) Size() (int, bool) {
	if int(t) >= len(paramSizes) || paramSizes[t].size < 0 {
		return 0, false
	}
	return int(paramSizes[t].size), true
}

// String is the type's name as tables spell it.
func (t ParamType) String() string {
	if int(t) >= len(paramSizes) {
		return "unknown"
	}
	return paramSizes[t].name
}

// ParseParamType is the type of that name, in either case.
func ParseParamType(name string) (ParamType, bool) {
	for i := range paramSizes {
		if strings.EqualFold(paramSizes[i].name, name) {
			return ParamType(i), true
		}
	}
	return 0, false
}

// Format is how tools print a number.
type Format uint8

const (
	FormatNA        Format = 0
	FormatDec       Format = 1
	FormatHex       Format = 2 // upper case, no prefix
	FormatPaddedDec Format = 3 // 9 digits, zeros in front
	FormatID        Format = 4 // decimal, no thousands separators anywhere
	FormatDir       Format = 5 // > or <
	FormatOct       Format = 6 // with a leading 0
)

// String is the format's name as tables have it in `show:`.
func (f Format) String() string {
	switch f {
	case FormatDec:
		return "dec"
	case FormatHex:
		return "hex"
	case FormatPaddedDec:
		return "10_padded_dec"
	case FormatID:
		return "id"
	case FormatDir:
		return "dir"
	case FormatOct:
		return "oct"
	default:
		return "na"
	}
}

// codes maps a code to its place in infos, plus one. Codes stand in two dense
// runs, those of the reference and ours.
var low, high = indexInfos()

func indexInfos() (low, high []uint16) {
	for i := range infos {
		run, at := &low, int(infos[i].Code)
		if infos[i].Code >= FirstOwn {
			run, at = &high, int(infos[i].Code-FirstOwn)
		}
		for len(*run) <= at {
			*run = append(*run, 0)
		}
		(*run)[at] = uint16(i + 1)
	}
	return low, high
}

// index is t's place in infos; -1 when it is not known.
func index(t Type) int {
	run, at := low, int(t)
	if t >= FirstOwn {
		run, at = high, int(t-FirstOwn)
	}
	if at >= len(run) {
		return -1
	}
	return int(run[at]) - 1
}

// Lookup describes type t; nil when it is not known. What it points to is shared
// and must not be changed.
func Lookup(t Type) *Info {
	if at := index(t); at >= 0 {
		return &infos[at]
	}
	return nil
}

// All ranges over every known type, by code.
func All() iter.Seq[*Info] {
	return func(yield func(*Info) bool) {
		for i := range infos {
			if !yield(&infos[i]) {
				return
			}
		}
	}
}
