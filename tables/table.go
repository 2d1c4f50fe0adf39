// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// Table is the whole description, resolved: all names are looked up and all inferred
// fields filled in. Entries have the order of their files.
type Table struct {
	Dir      string // the directory it was read from, with slashes
	Types    *Types
	Syscalls []*Syscall
	Suites   []*Suite
	Events   []*Event   // events no syscall entry describes: tracepoints, generic, metaevents, older versions
	Flags    []*FlagSet // named sets and the conversions from native values
	Helpers  []*Helper
	Reducers []*Reducer
	Structs  []*Struct
	Groups   []*Group  // named runs of params that several events share (`- use: task_common`)
	Lock     *Lock     // nil if the table has none
	Unlocked ErrorList // the facts that schema.lock does not have yet
	IDs      []*ID     // syscall codes of the file format; in order of code
	IA32     []*IA32Call
	X32      []*X32Call // in order of number
	Seen     Seen       // of the reference's module

	toLock []func(*Lock) // each adds a fact to the lock
}

// NextCode is the first code for the exit event of a syscall that the reference has no
// event for: neither an entry nor the lock has it.
func (t *Table) NextCode() uint16 {
	used := map[uint16]bool{}
	for _, s := range t.Syscalls {
		if s.Exit != nil {
			used[s.Exit.Code] = true
		}
	}
	for _, e := range t.Events {
		used[e.Code|1] = true
	}
	next := uint16(oursFrom + 1)
	for used[next] {
		next += 2
	}
	return next
}

// ID is a syscall code: a generic event carries it instead of a name.
// Codes are append-only and part of the file format.
type ID struct {
	Pos    expr.Pos
	Code   uint16
	Name   string
	Drop   string         // never, always or sampled
	NR     map[string]int // as Syscall.NR, and "386": the number of 32-bit tasks on amd64
	Absent []string       // architectures that have a number, but on kernels 5.10 to 7.3 not the call: ENOSYS
	Hot    []string       // as Syscall.Hot and Syscall.Probe, of a call without entry
	Probe  Probe
	Symbol string // the kernel's name of the call's function and tracepoint, if it is another: newstat
}

// Syscall is one entry of syscalls/CLASS.yaml.
type Syscall struct {
	Pos     expr.Pos
	Name    string // as in the kernel's unistd.h
	Params  []CParam
	Class   string            // category: file, net, ipc, memory, process, sleep, system, signal, user, time, io_read, io_write, io_other, wait
	Drop    string            // never, always or sampled: what dropping mode does with it
	NR      map[string]int    // by GOARCH: amd64 arm64 riscv64 loong64 s390x ppc64le, and 386 for 32-bit tasks on amd64; absent: the arch does not have the call
	Since   map[string]string // by GOARCH, resolved; "": before all supported kernels
	Until   string            // first kernel without it
	Exit    *Event
	Enter   *Event // TOCTOU event, or nil
	Cases   []*Case
	Differs Difference

	// What the drivers and the harness need to know besides the event.
	Hot        []string // architectures where the eBPF dispatcher jumps to its program directly
	Socketcall int      // its sub-call number of socketcall, by which 32-bit tasks on amd64 may make it; 0: none
	Keeps      string   // a tracepoint whose program keeps what the kernel acts on until the call returns, or ""
	Fires      *Fires   // another tracepoint reports its success, or nil
	DropFailed bool     // dropping mode drops its failures, whatever Drop is
	DropUnless *Kept    // dropping mode drops all but these, or nil
	Lost       string   // counter of the module for its lost events, besides the common one
	Probe      Probe

	NeverFails    string         // why none of its cases fails; "" if one does
	Grown         map[string]int // number of arguments by the first kernel that has more than the signature
	NeverSucceeds string         // why none of its cases succeeds

	broken []string // params with errors: their wanted values are not checked
	like   string   // the entry whose cases it inherits
}

// Signature writes the C declaration, without the type that it returns.
func (s *Syscall) Signature() string {
	var params []string
	for _, p := range s.Params {
		space := " "
		if strings.HasSuffix(p.Type, "*") {
			space = ""
		}
		params = append(params, p.Type+space+p.Name)
	}
	return s.Name + "(" + strings.Join(params, ", ") + ")"
}

// CParam is one parameter of the C signature.
type CParam struct {
	Type string // as written, e.g. "const char *"
	Name string
}

// Event is one event code with its params in wire order.
type Event struct {
	Pos     expr.Pos
	codePos expr.Pos
	Code    uint16
	Name    string // the event's name for consumers: "openat"
	Symbol  string // Go and C identifier stem: openat_exit, connect_enter, switch_enter (old versions: open_exit_v1...)
	Dir     string // enter or exit
	Class   string
	Source  string   // syscall, tracepoint, metaevent, plugin, unknown
	Flags   []string // creates_fd destroys_fd uses_fd reads_from_fd writes_to_fd modifies_state waits old_version unused large_payload converter_managed skip_parse_reset
	Params  []*Param
	From    string // what fires it: "sys_exit", "sys_enter", or a tracepoint name such as sched_switch, several joined by "|"; "" when no driver makes it
	Filler  string // "manual" when the body is hand-written C (fill_<symbol>); else generated
	Drop    string // as Syscall.Drop, of an event that no entry has; "" when no driver makes it
	Lost    string // as Syscall.Lost, of such an event
	FDParam int    // index of the param that is "the fd", or -1
	State   *State // nil: no state changes
	Differs Difference
}

// Param is one parameter of an event.
type Param struct {
	Pos     expr.Pos
	typePos expr.Pos // the place of its type
	lock    string   // its word in schema.lock, for events read from there
	Name    string
	Type    string     // wire type, lower case: int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool errno fd fd32 pid pid32 uid gid sigtype sigset syscallid charbuf bytebuf fspath fsrelpath sockaddr socktuple fdlist flags8 flags16 flags32 flags64 enumflags8 enumflags16 enumflags32 mode sockfamily port reltime abstime double ipaddr ipnet ipv4addr ipv6addr dyn charbufarray charbuf_pair_array
	From    *expr.Node // ret, an argument, or a call over those; nil for events no driver makes
	Written string     // From as the file has it, before its names are resolved; "" if it is left out
	Base    string     // fsrelpath: the param that holds the directory fd
	Names   string     // flag set of the event's values
	Show    string     // dec, hex, oct, id, dir, 10_padded_dec, na: how tools print it
	Len     *expr.Node // bytebuf and sockaddr: number of bytes at From
	Snaplen bool       // cut at the snap length
	User    bool       // a hand-written filler reads it from the caller's memory
	Newer   bool       // the older reference does not have it
	When    []Cond     // all must hold, else Else is sent (or the empty param)
	Else    *expr.Node
	Switch  *Switch
	Group   string // the group it was spliced from, or ""
	Dyn     string // dynamic table (sockopt, ptrace, bpf, keyctl) for type dyn
	Differs Difference
}

// Cond compares one variable (ret or an argument) with values: any of In, or
// Op ("<", "<=", ">", ">=", "!=") against In[0].
type Cond struct {
	Var string
	Op  string // "in", a comparison, or readable: In[0] is then the test
	In  []*expr.Node
}

// Switch picks a source by the value of another param of the same event.
type Switch struct {
	On   string // name of the param whose wire value selects
	Arms []SwitchArm
}

// SwitchArm applies to any of Values (names of the On param's flag set, or numbers);
// without Values it is the default, the last arm of every switch. Dyn is the variant
// of a dyn param.
type SwitchArm struct {
	Values []*expr.Node
	From   *expr.Node
	Dyn    string // e.g. uint64, sigtype: the wire type of this variant
}

// Group is a named run of params.
type Group struct {
	Pos    expr.Pos
	Name   string
	Params []*Param
}

// FlagSet is a named set of event values and, if it has a Kind, a conversion: a C
// function <Name>(value) generated from Kind and Values.
type FlagSet struct {
	Pos     expr.Pos
	Name    string
	Kernel  KernelNames
	Kind    string // "" (names only), bits (each bit tested alone), mask (all bits of a native value must be set), enum, identity, manual (hand-written helper of that name)
	Width   int    // enum and identity: significant bits of the argument (8, 16, 32; identity: 64)
	Default uint32 // enum: event value of a native value not listed
	Values  []FlagValue
}

// KernelNames says where the kernel's headers have the names of a flag set.
type KernelNames struct {
	Files []string // below include/uapi of its sources; nil: None says why no header has them
	Names string   // a regular expression for a whole name
	But   string   // names that match both are not of the set
	None  string
}

// FlagValue is one named value.
type FlagValue struct {
	Pos       expr.Pos
	Name      string
	Value     uint64 // as events carry it
	Native    uint64 // as in the kernel's headers (if HasNative)
	HasNative bool
	NativeBy  map[string]uint64 // by GOARCH where it differs; without HasNative, the only arches that have it
}

// Helper declares a C function of both drivers that `from` may call, or a guest function of `given`, `after`, `call` and `act`.
type Helper struct {
	Pos    expr.Pos
	Kind   string // value, param, given, after, act
	Name   string
	Args   []string // names; a trailing "..." repeats, a trailing "?" is optional
	Filler bool     // value: the C function takes struct filler * first (param helpers always do)
	Zero   string   // value: what makes it 0, as the first argument: "memory" that is unreadable, a "descriptor" below 0, or ""
	User   bool     // value, param: it reads the caller's memory
	Looks  bool     // value, param: it looks at the open file of a descriptor, its first argument
	Max    int      // param: bytes that it sends at most; 0: not known, or Rest
	Rest   bool     // param: it sends what the event has room for; its C function's last argument is the bytes that later params may take
	First  int      // param: of a list that the caller may make longer, the elements that it sends; 0: all, or no list
	Needs  []string // given, after, act: words of Needs, which a case that calls it needs as well
	Reads  string   // given: what a driver reads if the object is passed as a string: "text" (the object's), "nothing", or ""
	Doc    string
}

// Case is a test of a syscall entry.
type Case struct {
	Pos          expr.Pos
	Syscall      string
	Name         string // if left out, for an entry's single case: "works"
	Needs        []string
	Unsafe       bool // changes the machine: never run by `scaplab host`
	Snaplen      int  // 0: the default, 80
	LeftOut      int  // messages of the call that get no event
	Since, Until string
	Given        []Binding // in order; later ones may use earlier ones
	Call         *expr.Node
	After        []Binding
	Want         []Binding // every exit param, in wire order
	Child        []Binding // clone family: params of the child's own event
	NoEnter      string    // why there is no enter event
	Lacking      string    // of a generated case: why it runs only on kernels that lack the call
	NoEvent      string    // why no exit event is expected (exit_group, a successful exec's ...)

	broken []string // params whose wanted values have errors
}

// Binding names an expression.
type Binding struct {
	Pos    expr.Pos
	Name   string
	Expr   *expr.Node
	Passed bool // of Want: left out, the param has the value that the call passes
}
