// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

// socketcalls returns the entries that are sub-calls of socketcall, by sub-call number.
func (m *model) socketcalls() []*tables.Syscall {
	var out []*tables.Syscall
	for _, s := range m.table.Syscalls {
		if s.Socketcall != 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *tables.Syscall) int { return cmp.Compare(a.Socketcall, b.Socketcall) })
	return out
}

// entry returns the syscall entry of that name, which exists: the table's checks say so.
func (m *model) entry(name string) *tables.Syscall {
	i := slices.IndexFunc(m.table.Syscalls, func(s *tables.Syscall) bool { return s.Name == name })
	return m.table.Syscalls[i]
}

// socketcallNumber returns the number of socketcall for 32-bit tasks on amd64; 0 if the table has none.
func (m *model) socketcallNumber() int {
	for _, id := range m.table.IDs {
		if id.Name == "socketcall" {
			return id.NR["386"]
		}
	}
	return 0
}

// numberedCall is a call in C: its number, and its name as a comment.
type numberedCall struct {
	NR   int
	Name string
	Kept *keptCall
}

// keptCall is the condition of a call's drop_unless.
type keptCall struct {
	Type   string // C type of the argument
	Arg    int
	Values []numberedCall // with the names of constants
}

type callArch struct {
	Macro     string
	Hot       []numberedCall
	Elsewhere []numberedCall // calls whose return of 0 another tracepoint reports
	Kept      []numberedCall
}

// callsData is the data of driver/abi/calls_gen.h and driver/bpf/hot_gen.h.
type callsData struct {
	Arches         []callArch
	Exec, IA32Exec []numberedCall // calls that sched_process_exec reports, by numbers of amd64 and of 32-bit tasks
	Socketcall     int            // the number of socketcall for 32-bit tasks; 0: unknown
	Socketcalls    []string       // "[1] = {41, 3}", by number of the sub-call
	IA32, X32      []string       // "[4] = FOREIGN_CALL(1, LAYOUT_IA32)", by number
	IA32Args       []ia32Arguments
	X32Size        int // a power of two

	Places           map[int]int // in the tables by call, by number of 32-bit tasks
	SocketcallPlaces []int
}

func (m *model) callsData() (*callsData, error) {
	d := &callsData{}
	for _, arch := range tables.Arches {
		a := callArch{Macro: tables.ArchOf(arch).Macro()}
		hot := func(name string, on []string, nr map[string]int) {
			if slices.Contains(on, arch) {
				a.Hot = append(a.Hot, numberedCall{NR: nr[arch], Name: name})
			}
		}
		for _, id := range m.table.IDs {
			hot(id.Name, id.Hot, id.NR)
		}
		for _, s := range m.table.Syscalls {
			hot(s.Name, s.Hot, s.NR)
			nr, ok := s.NR[arch]
			if !ok {
				continue
			}
			call := numberedCall{NR: nr, Name: s.Name}
			if s.Fires != nil && slices.Contains(s.Fires.On, arch) {
				a.Elsewhere = append(a.Elsewhere, call)
			}
			if s.DropUnless != nil {
				var err error
				if call.Kept, err = m.keptCall(s, arch); err != nil {
					return nil, err
				}
				a.Kept = append(a.Kept, call)
			}
		}
		for _, list := range [][]numberedCall{a.Hot, a.Elsewhere, a.Kept} {
			slices.SortFunc(list, func(a, b numberedCall) int { return cmp.Compare(a.NR, b.NR) })
		}
		d.Arches = append(d.Arches, a)
	}
	for _, s := range m.table.Syscalls {
		if s.Fires == nil || s.Fires.Tracepoint != "sched_process_exec" {
			continue
		}
		if nr, ok := s.NR["amd64"]; ok {
			d.Exec = append(d.Exec, numberedCall{NR: nr, Name: s.Name})
		}
		if nr, ok := s.NR["386"]; ok {
			d.IA32Exec = append(d.IA32Exec, numberedCall{NR: nr, Name: s.Name})
		}
	}
	if err := m.foreignCalls(d); err != nil {
		return nil, err
	}
	d.Socketcall = m.socketcallNumber()
	return d, nil
}

// keptCall resolves the values of drop_unless on an architecture.
func (m *model) keptCall(s *tables.Syscall, arch string) (*keptCall, error) {
	k := &keptCall{Arg: s.DropUnless.Arg, Type: "u64"}
	if bits, signed := tables.RegisterBits(s.Params[k.Arg].Type); bits < 64 {
		k.Type = fmt.Sprintf("%s%d", map[bool]string{false: "u", true: "s"}[signed], bits)
	}
	for _, x := range s.DropUnless.Values {
		if x.Kind == expr.Int {
			k.Values = append(k.Values, numberedCall{NR: int(x.Num), Name: x.String()})
			continue
		}
		n, _ := m.constant(x.Text)
		v, ok := n.on(arch)
		if !ok {
			return nil, fmt.Errorf("%v: %s: drop_unless: %s has no value on %s", x.Pos, s.Name, x, arch)
		}
		k.Values = append(k.Values, numberedCall{NR: int(v), Name: x.Text})
	}
	return k, nil
}

// anyOf returns the C condition that nr is one of the calls.
func anyOf(calls []numberedCall) string {
	var list []string
	for _, c := range calls {
		list = append(list, fmt.Sprintf("nr == %d", c.NR))
	}
	return strings.Join(list, " || ")
}

// namesOf lists the calls in a comment.
func namesOf(calls []numberedCall) string {
	var list []string
	for _, c := range calls {
		list = append(list, c.Name)
	}
	return strings.Join(list, ", ")
}
