// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/tables"
)

// place returns the place of an entry's call in the drivers' tables by call on an
// architecture: its number, or one after the numbers for a call that only 32-bit tasks have.
func (m *model) place(s *tables.Syscall, arch string) (int, bool) {
	if nr, ok := s.NR[arch]; ok || arch != "amd64" {
		return nr, ok
	}
	if _, ok := s.NR[tables.IA32]; !ok && s.Socketcall == 0 {
		return 0, false
	}
	if _, other := m.ia32Call(s.Name); other {
		return 0, false
	}
	id, ok := m.id(s.Name)
	if !ok {
		return 0, false
	}
	return abi.Syscalls + int(id.Code), true
}

func (m *model) id(name string) (*tables.ID, bool) {
	i := slices.IndexFunc(m.table.IDs, func(id *tables.ID) bool { return id.Name == name })
	if i < 0 {
		return nil, false
	}
	return m.table.IDs[i], true
}

// ia32Call returns what the table says of a call of 32-bit tasks.
func (m *model) ia32Call(name string) (*tables.IA32Call, bool) {
	i := slices.IndexFunc(m.table.IA32, func(c *tables.IA32Call) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return m.table.IA32[i], true
}

// ia32Arguments are the C statements that set the arguments of a call of 32-bit tasks.
type ia32Arguments struct {
	NR    int
	Name  string
	Lines []string
}

var layoutBits = map[string]string{"ia32": "LAYOUT_IA32", "native": "0", "time64": "LAYOUT_IA32 | LAYOUT_TIME64", "ids16": "LAYOUT_IA32 | LAYOUT_IDS16",
	"statfs64": "LAYOUT_IA32 | LAYOUT_STATFS64"}

// foreignCalls adds the calls that are not native to d.
func (m *model) foreignCalls(d *callsData) error {
	native := make(map[string]int)
	d.Places = make(map[int]int)
	calls := make(map[int]string)
	for _, id := range m.table.IDs {
		if nr, ok := id.NR["amd64"]; ok {
			native[id.Name] = nr
		}
	}
	for _, s := range m.table.Syscalls {
		if nr, ok := s.NR["amd64"]; ok {
			native[s.Name] = nr
		}
	}
	add := func(nr, place int, layout, name string) {
		d.Places[nr] = place
		calls[nr] = fmt.Sprintf("FOREIGN_CALL(%d, %s), /* %s */", place, layoutBits[layout], name)
	}
	arguments := func(nr int, name string, args []*expr.Node, as string) error {
		lines, err := m.ia32Lines(args, as)
		if len(lines) > 0 {
			d.IA32Args = append(d.IA32Args, ia32Arguments{nr, name, lines})
		}
		return err
	}
	numbered := func(name string, nr, code int) error {
		if _, ok := m.ia32Call(name); ok {
			return nil
		}
		if place, ok := native[name]; ok {
			add(nr, place, "ia32", name)
			return arguments(nr, name, nil, name)
		}
		if code == 0 || code >= abi.Calls-abi.Syscalls {
			return fmt.Errorf("%s: a call that only 32-bit tasks have needs a code below %d in ids.yaml", name, abi.Calls-abi.Syscalls)
		}
		add(nr, abi.Syscalls+code, "ia32", name)
		return nil
	}
	for _, id := range m.table.IDs {
		if nr, ok := id.NR[tables.IA32]; ok {
			if err := numbered(id.Name, nr, int(id.Code)); err != nil {
				return err
			}
		}
	}
	for _, s := range m.table.Syscalls {
		if nr, ok := s.NR[tables.IA32]; ok {
			if _, coded := m.id(s.Name); coded {
				continue
			}
			if err := numbered(s.Name, nr, 0); err != nil {
				return err
			}
		}
	}
	for _, c := range m.table.IA32 {
		add(c.NR, native[c.As], c.Layout, c.Name)
		if err := arguments(c.NR, c.Name, c.Args, c.As); err != nil {
			return err
		}
	}
	d.IA32 = designatedCalls(calls)
	places := d.Places
	d.Places = make(map[int]int) // those of x32 are not needed
	slices.SortFunc(d.IA32Args, func(a, b ia32Arguments) int { return cmp.Compare(a.NR, b.NR) })

	calls = make(map[int]string)
	for _, c := range m.table.X32 {
		add(c.NR-abi.Syscalls, native[c.Name], "time64", c.Name)
	}
	d.X32 = designatedCalls(calls)
	d.Places = places
	for d.X32Size = 1; d.X32Size < len(m.table.X32); d.X32Size *= 2 {
	}
	calls = make(map[int]string)
	for _, s := range m.socketcalls() {
		place, ok := m.place(s, "amd64")
		if !ok {
			return fmt.Errorf("%v: %s: a call that is a socketcall only needs a code in ids.yaml", s.Pos, s.Name)
		}
		d.SocketcallPlaces = append(d.SocketcallPlaces, place)
		calls[s.Socketcall] = fmt.Sprintf("{%d, %d}, /* %s */", place, len(s.Params), s.Name)
	}
	d.Socketcalls = designatedCalls(calls)
	return nil
}

// designatedCalls is designated for values that end with a comma and a comment.
func designatedCalls(byNumber map[int]string) []string {
	out := designated(byNumber)
	for i := range out {
		out[i] = strings.TrimSuffix(out[i], ",")
	}
	return out
}

// ia32Lines returns the statements that make the arguments of a call of 32-bit tasks
// those of the call of 64-bit tasks. Without args these follow from the signature.
func (m *model) ia32Lines(args []*expr.Node, as string) ([]string, error) {
	i := slices.IndexFunc(m.table.Syscalls, func(s *tables.Syscall) bool { return s.Name == as })
	var params []tables.CParam
	if i >= 0 {
		params = m.table.Syscalls[i].Params
	}
	if len(args) == 1 && args[0].Text == "vector" {
		n := len(params)
		if i < 0 {
			n = 6
		}
		return []string{fmt.Sprintf("ia32_vector(arg, %s, %d);", register(args[0].Args[0].Text), n)}, nil
	}
	var values []string
	if args == nil {
		at := 0
		for _, p := range params {
			pair, signed := tables.IA32Wide(p.Type)
			switch {
			case at >= len(tables.IA32Registers) || pair && at+1 >= len(tables.IA32Registers):
				return nil, fmt.Errorf("%s: the arguments of a 32-bit task have no registers left (say in ids.yaml how it passes them)", as)
			case pair:
				values = append(values, fmt.Sprintf("pair(reg[%d], reg[%d])", at, at+1))
				at++
			case signed:
				values = append(values, fmt.Sprintf("(s32)reg[%d]", at))
			default:
				values = append(values, fmt.Sprintf("reg[%d]", at))
			}
			at++
		}
	}
	for _, a := range args {
		values = append(values, ia32Value(a))
	}
	var lines []string
	for i, v := range values {
		if v != fmt.Sprintf("reg[%d]", i) {
			lines = append(lines, fmt.Sprintf("arg[%d] = %s;", i, v))
		}
	}
	return lines, nil
}

func register(name string) string {
	return fmt.Sprintf("reg[%d]", slices.Index(tables.IA32Registers, name))
}

// ia32Value returns the C value of an argument.
func ia32Value(a *expr.Node) string {
	switch {
	case a.Kind == expr.Int:
		return fmt.Sprint(a.Num)
	case a.Kind == expr.Name:
		return register(a.Text)
	}
	r := register(a.Args[0].Text)
	switch a.Text {
	case "pair":
		return fmt.Sprintf("pair(%s, %s)", r, register(a.Args[1].Text))
	case "signed":
		return "(s32)" + r
	case "pages":
		return fmt.Sprintf("(u64)%s << 12", r)
	}
	return a.Text + "(" + r + ")"
}
