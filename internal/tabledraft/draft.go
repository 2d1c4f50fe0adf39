// SPDX-License-Identifier: Apache-2.0

// Package tabledraft drafts entries of the table for calls that a kernel has: from the names and types
// of their arguments, the structs that these point to, what other entries do, and the layout of the
// reference's event if it has one. What a person must decide is marked TODO.
package tabledraft

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

// Param is a drafted param, in the words of the table's language.
type Param struct {
	Name, Type, From, Names, Show, Base, Len, When, Dyn string
	Snaplen                                             bool
	Todo                                                string // what a person must decide; "" if nothing

	arg  int // its argument, or -1
	role role
}

// Entry is a drafted entry.
type Entry struct {
	Call  string // in the table's words
	Args  []tables.CParam
	Class string
	After string // the entry to stand behind; "": at the end of the file
	Code  uint16
	Name  string // of the event, if it is another
	Since string
	Sure  bool // Since is known
	NR    int  // 0: ids.yaml has it

	Exit, Enter []Param
	Offered     []Param // of the exit event: fields of large structs, of which a person chooses
	Cases       []Case
	Sets        []Set
	Structs     []Struct
	Todo        []string // what a person must decide of the whole entry

	roles []role // of Args
}

// Set is a drafted set of flags.yaml.
type Set struct {
	Name   string
	Width  int
	Values []kernelfacts.EnumValue
}

// Struct is a drafted struct of structs.yaml.
type Struct struct {
	Name   string
	Fields []kernelfacts.Field
}

// Drafter drafts entries for the calls of one kernel.
type Drafter struct {
	table   *tables.Table
	facts   *kernelfacts.Facts
	calls   map[string]kernelfacts.Syscall // by the kernel's name
	structs map[string]kernelfacts.Struct
	symbols map[string]string // of calls whose function has another name
	sets    map[string]*tables.FlagSet
	known   map[string]*tables.Struct
	next    uint16
	numbers int // that were given to calls of unknown number

	unlocked bool // for tests: our own events are as if they were never locked
}

// New prepares drafts for the calls of a kernel, to be added to a table.
func New(t *tables.Table, f *kernelfacts.Facts) *Drafter {
	d := &Drafter{
		table: t, facts: f, calls: map[string]kernelfacts.Syscall{}, structs: map[string]kernelfacts.Struct{}, symbols: map[string]string{},
		sets: map[string]*tables.FlagSet{}, known: map[string]*tables.Struct{},
	}
	for _, s := range f.Syscalls {
		d.calls[s.Name] = s
	}
	for _, s := range f.Structs {
		d.structs[s.Name] = s
	}
	for _, id := range t.IDs {
		if id.Symbol != "" {
			d.symbols[id.Name] = id.Symbol
		}
	}
	for _, s := range t.Flags {
		d.sets[s.Name] = s
	}
	for _, s := range t.Structs {
		d.known[s.Name] = s
	}
	return d
}

// symbol returns the kernel's name of a call.
func (d *Drafter) symbol(call string) string { return cmp.Or(d.symbols[call], call) }

// variants are functions of the kernel that are the call of another name, for tasks of 32 bits, ids of 16, or older programs, or
// that no architecture of the table has: none of them is a call by itself.
var variants = regexp.MustCompile(`^(ia32_|compat_|old_?|x32_)|(_time32|16|_time64)$|^(s?time32|ni_syscall|clock_\w+32|timer_\w+32|timerfd_\w+32|utime32|mmap_pgoff|llseek|f?statfs64|fadvise64_64|sendfile64|gethostname)$`)

// Lacking returns the calls that the kernel has and the table lacks, by name. The second list has those of them that
// programs of 64 bits cannot make on the kernel's architecture.
func (d *Drafter) Lacking() (calls, others []string) {
	have := map[string]bool{}
	for _, s := range d.table.Syscalls {
		have[s.Name], have[d.symbol(s.Name)] = true, true
	}
	names := map[string]string{}
	for call, symbol := range d.symbols {
		names[symbol] = call
	}
	elsewhere := map[string]bool{}
	for _, id := range d.table.IDs {
		if _, here := id.NR[d.facts.Arch]; !here || slices.Contains(id.Absent, d.facts.Arch) {
			elsewhere[id.Name] = true
		}
	}
	for _, s := range d.facts.Syscalls {
		name := cmp.Or(names[s.Name], s.Name)
		switch {
		case have[s.Name] || variants.MatchString(s.Name):
		case elsewhere[name]:
			others = append(others, name)
		default:
			calls = append(calls, name)
		}
	}
	slices.Sort(calls)
	slices.Sort(others)
	return calls, others
}

// ErrUnknown says that a kernel's image or types do not tell the arguments of a call.
var ErrUnknown = errors.New("the arguments are not known (there is no list of calls for tracepoints)")

// Draft drafts the entry of a call, by the table's name of it or the kernel's. The error says what the kernel lacks.
func (d *Drafter) Draft(call string) (*Entry, error) {
	k, ok := d.calls[d.symbol(call)]
	if !ok {
		return nil, fmt.Errorf("kernel %s has no call %s", d.facts.Kernel, call)
	}
	if k.Args == nil {
		return nil, fmt.Errorf("%s of kernel %s: %w", call, d.facts.Kernel, ErrUnknown)
	}
	e := &Entry{Call: call, Since: d.facts.Kernel, Args: d.arguments(call, k.Args)}
	d.roles(e)
	nearest := d.nearest(e)
	e.Class, e.After = "other", ""
	if nearest != nil {
		e.Class, e.After = nearest.Class, nearest.Name
	}
	e.Todo = append(e.Todo, "class: "+e.Class+" is that of "+cmp.Or(e.After, "no neighbour"))
	d.identity(e)
	e.Exit = d.params(e)
	if exit, enter := d.lockedEvent(call); exit != nil && !(d.unlocked && exit.Code >= firstOwn) {
		d.locked(e, exit, enter)
	} else {
		e.Code = d.code()
	}
	d.prune(e)
	d.cases(e)
	return e, nil
}

// identity is the number and the first kernel.
func (d *Drafter) identity(e *Entry) {
	highest := 0
	for _, id := range d.table.IDs {
		if id.Name == e.Call {
			d.since(e, id)
			return
		}
		for _, nr := range id.NR {
			highest = max(highest, nr)
		}
	}
	for _, s := range d.table.Syscalls {
		for arch, nr := range s.NR {
			if arch != tables.IA32 {
				highest = max(highest, nr)
			}
		}
	}
	d.numbers++
	e.NR = highest + d.numbers
	e.Todo = append(e.Todo, "nr: the image does not say the number; it is in the kernel's arch/*/syscalls/*.tbl")
}

// since is the first kernel with a call of a known number: numbers are given in order, so that the calls with the numbers
// before and after it say it, or at least how old it is.
func (d *Drafter) since(e *Entry, id *tables.ID) {
	for _, arch := range []string{"amd64", "arm64"} {
		nr, ok := id.NR[arch]
		if !ok {
			continue
		}
		var before, after *tables.Syscall
		for _, s := range d.table.Syscalls {
			n, ok := s.NR[arch]
			switch {
			case !ok || s.Name == e.Call:
			case n < nr && (before == nil || n > before.NR[arch]):
				before = s
			case n > nr && (after == nil || n < after.NR[arch]):
				after = s
			}
		}
		if after == nil {
			return
		}
		e.Since = after.Since[arch]
		e.Sure = e.Since == "" || before != nil && before.Since[arch] == e.Since
		return
	}
}

// code returns a free code for an event.
func (d *Drafter) code() uint16 {
	if d.next == 0 {
		d.next = d.table.NextCode()
	}
	c := d.next
	used := map[uint16]bool{}
	for _, s := range d.table.Syscalls {
		used[s.Exit.Code] = true
	}
	for _, e := range d.table.Events {
		used[e.Code|1] = true
	}
	for d.next += 2; used[d.next]; d.next += 2 {
	}
	return c
}

// params drafts the params of the exit event.
func (d *Drafter) params(e *Entry) []Param {
	var list []Param
	for _, o := range outcomes {
		if o.call.MatchString(e.Call) {
			list = append(list, Param{Name: o.param, Type: o.typ, Show: o.show, From: "ret", arg: -1})
			break
		}
	}
	skip := map[int]bool{}
	for i := range e.Args {
		if skip[i] {
			continue
		}
		list = append(list, d.param(e, i, skip)...)
	}
	names := map[string]bool{}
	for i := range list { // a name once
		if at := list[i].arg; names[list[i].Name] && at >= 0 {
			head := e.Args[at].Name
			if !reads(e, at) { // what was before
				head = "old"
			}
			list[i].Name = head + "_" + list[i].Name
		}
		for names[list[i].Name] {
			list[i].Name += "_"
		}
		names[list[i].Name] = true
	}
	return list
}

// param drafts the params of an argument.
func (d *Drafter) param(e *Entry, i int, skip map[int]bool) []Param {
	a := e.Args[i]
	if list, ok := d.likeFamily(e, i); ok {
		return list
	}
	p := Param{Name: a.Name, From: a.Name, arg: i, role: e.roles[i]}
	ctype := d.numberType(a.Type)
	switch p.role {
	case fd:
		p.Type = "fd"
	case dirfd:
		p.Type, p.From = "fd", "at_fdcwd("+a.Name+")"
	case path:
		p.Type = "fspath"
		if i > 0 && e.roles[i-1] == dirfd {
			p.Type, p.Base = "fsrelpath", e.Args[i-1].Name
		}
	case text:
		p.Type = "charbuf"
	case pid, uid, gid:
		p.Type = string(p.role)
	case signal:
		p.Type = "sigtype"
	case mode, flags, choice:
		d.named(e, &p, ctype)
	case address:
		p.Type, p.Show = ctype, "hex"
	case data:
		p.Type, p.Len, p.Snaplen = "bytebuf", e.Args[i+1].Name, true
	case result:
		p.Type, p.Len, p.Snaplen, p.When = "bytebuf", "ret", true, `{ret: "> 0"}`
		if like := d.likeBuffer(e, i); like != nil {
			p = *like
		}
	case socket:
		p.Type, p.Len = "sockaddr", e.Args[i+1].Name
		skip[i+1] = true
	case number:
		p.Type = ctype
	case in, out:
		if list := d.likeStruct(e, i); list != nil {
			return list
		}
		target := strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(a.Type, "const "), "*"))
		p.Type, p.From = d.numberType(target), "*"+a.Name
		if target == "unsigned long" {
			p.Show = "hex" // masks, mostly
		}
		if p.role == out {
			p.When = "{ret: 0}"
		}
	case array:
		p.Type, p.From, p.When, p.Show = "numbers", "each("+a.Name+", ret)", `{ret: "> 0"}`, "hex"
	case readTime:
		return []Param{d.time(e, i)}
	case object:
		if list := d.likeStruct(e, i); list != nil {
			return list
		}
		if list := d.fields(e, i); list != nil {
			return list
		}
		p.Type, p.Show = "uint64", "hex"
		p.Todo = "an address: what it points to is not known"
	default:
		if list := d.likeStruct(e, i); list != nil {
			return list
		}
		p.Type, p.Show = "uint64", "hex"
		p.Todo = "an address: what it points to is not known"
	}
	return []Param{p}
}

// time drafts a time that an argument points to.
func (d *Drafter) time(e *Entry, i int) Param {
	a := e.Args[i]
	p := Param{Name: a.Name, Type: "reltime", arg: i, role: object}
	if absolute.MatchString(a.Name) {
		p.Type = "abstime"
	}
	switch pointed(a.Type) {
	case "timespec *":
		p.From = "user_timespec(" + a.Name + ")"
	case "timeval *":
		p.From = a.Name + "->tv_sec * 1000000000 + " + a.Name + "->tv_usec * 1000"
	default:
		p.From = a.Name + "->tv_sec * 1000000000 + " + a.Name + "->tv_nsec"
	}
	if !reads(e, i) {
		p.When = "{ret: 0}"
	}
	return p
}

// numberType is the wire type of a number.
func (d *Drafter) numberType(ctype string) string {
	ctype = strings.TrimPrefix(ctype, "const ")
	for _, id := range []string{"pid", "uid", "gid"} {
		if ctype == id+"_t" {
			return id
		}
	}
	bits, signed := tables.RegisterBits(ctype)
	if ctype == "umode_t" || ctype == "mode_t" {
		return "uint32"
	}
	if signed {
		return fmt.Sprintf("int%d", bits)
	}
	return fmt.Sprintf("uint%d", bits)
}

func (d *Drafter) shown(p *tables.Param) string {
	if t := d.table.Types.Type(p.Type); t != nil && p.Show == t.Show {
		return ""
	}
	return p.Show
}

// prune removes what no param uses.
func (d *Drafter) prune(e *Entry) {
	uses := func(word string) bool {
		return slices.ContainsFunc(slices.Concat(e.Exit, e.Enter), func(p Param) bool {
			return p.Names == word || strings.Contains(p.From, word)
		})
	}
	e.Sets = slices.DeleteFunc(e.Sets, func(s Set) bool { return !uses(s.Name) })
	if !slices.ContainsFunc(slices.Concat(e.Exit, e.Enter), func(p Param) bool { return strings.Contains(p.From, "->") }) {
		e.Structs = nil
	}
	e.Sets = slices.CompactFunc(e.Sets, func(a, b Set) bool { return a.Name == b.Name })
}

// sortedKeys returns the names of a map.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
