// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// IA32Call is a call of 32-bit tasks on amd64 that is another call of 64-bit tasks, or
// takes its arguments otherwise.
type IA32Call struct {
	Pos    expr.Pos
	Name   string
	NR     int          // its number there
	As     string       // the call of 64-bit tasks that it is
	Args   []*expr.Node // the arguments of that call, see IA32Registers and IA32Functions; nil: those of its signature in their order
	Layout string       // of structs in memory, one of IA32Layouts
}

// IA32Registers are the registers with the arguments of a 32-bit call, in their order.
var IA32Registers = []string{"bx", "cx", "dx", "si", "di", "bp"}

// IA32Functions are what an argument may be besides a register and a number, with the number of registers.
var IA32Functions = map[string]int{
	"pair":   2, // 64 bits: the low half, the high half
	"id16":   1, // a 16-bit user or group id, of which 0xffff is -1
	"signed": 1, // a signed number of 32 bits
	"pages":  1, // a number of 4096 bytes
	"vector": 1, // all arguments: they are in memory from that address on
}

// IA32Layouts are the layouts of structs in memory: of 32-bit tasks (the default), of 64-bit
// tasks, of 32-bit tasks but for times of 64 bits, for user and group ids of 16 bits, or for
// struct statfs64 in place of struct statfs.
var IA32Layouts = []string{"ia32", "native", "time64", "ids16", "statfs64"}

// X32Call is a call whose structs have the 32-bit layout in x32 tasks, which have a number of their own for it.
type X32Call struct {
	Pos  expr.Pos
	Name string
	NR   int
}

func (l *loader) ia32(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "syscall"), "entry", []string{"syscall", "nr", "as", "layout"}, &l.errs)
	if m == nil || !m.required("syscall", "syscall: stat64 is its name") || !m.required("as", "as: stat is the call of 64-bit tasks") {
		return
	}
	c := &IA32Call{Pos: f.Pos(n), Name: m.text("syscall"), NR: -1, Layout: IA32Layouts[0]}
	if m.has("layout") {
		c.Layout = m.oneOf("layout", IA32Layouts)
	}
	if nr := m.byKey["nr"]; nr != nil {
		if v, ok := m.uint(nr, "nr", maxNR); ok {
			c.NR = int(v)
		}
	}
	if as := m.scalar("as"); as != nil {
		if e := f.parse(as, c.Name, &l.errs); e != nil {
			l.ia32As(c, e)
		}
	}
	l.table.IA32 = append(l.table.IA32, c)
}

// ia32As sets the call that c is, from `stat` or `lseek(bx, pair(dx, cx), di)`.
func (l *loader) ia32As(c *IA32Call, e *expr.Node) {
	switch e.Kind {
	case expr.Name:
		c.As = e.Text
	case expr.Call:
		c.As, c.Args = e.Text, e.Args
	default:
		l.errs.Add(e.Pos, c.Name, "as is a %s (lseek(bx, pair(dx, cx), di) is an example)", e.Kind)
		return
	}
	for _, a := range c.Args {
		switch {
		case a.Kind == expr.Int, a.Kind == expr.Name && slices.Contains(IA32Registers, a.Text):
		case a.Kind == expr.Call && IA32Functions[a.Text] == len(a.Args) && len(a.Args) > 0:
			for _, r := range a.Args {
				if r.Kind != expr.Name || !slices.Contains(IA32Registers, r.Text) {
					l.errs.Add(r.Pos, c.Name, "%s is no register%s", r, hint.DidYouMean(r.Text, IA32Registers))
				}
			}
			if a.Text == "vector" && len(c.Args) > 1 {
				l.errs.Add(a.Pos, c.Name, "vector is not the only argument (it is all of them)")
			}
		default:
			l.errs.Add(a.Pos, c.Name, "%s is neither a register, a number nor pair(low, high), id16(r), signed(r), pages(r), vector(r)%s", a,
				hint.DidYouMean(a.Text, IA32Registers))
		}
	}
}

func (l *loader) x32(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "syscall"), "entry", []string{"syscall", "nr"}, &l.errs)
	if m == nil || !m.required("syscall", "syscall: readv is its name") || !m.required("nr", "nr: 515 is its number") {
		return
	}
	if v, ok := m.uint(m.byKey["nr"], "nr", 1<<16-1); ok {
		c := &X32Call{Pos: f.Pos(n), Name: m.text("syscall"), NR: int(v)}
		if want := abi.Syscalls + len(l.table.X32); c.NR != want {
			m.errorf(m.byKey["nr"], "nr %d is not %d (numbers of x32 ascend from %d on without gaps)", c.NR, want, abi.Syscalls)
		}
		l.table.X32 = append(l.table.X32, c)
	}
}

// checkForeign checks the calls of 32-bit tasks against the codes, which are complete.
func (l *loader) checkForeign() {
	names := slices.Sorted(maps.Keys(l.ids))
	amd64 := func(pos expr.Pos, subject, name string) {
		if id := l.ids[name]; id == nil || !has(id.NR, "amd64") {
			l.errs.Add(pos, subject, "%s is no call of amd64%s", name, hint.DidYouMean(name, names))
		}
	}
	numbers := map[int]string{}
	for _, id := range l.table.IDs {
		if nr, ok := id.NR[IA32]; ok {
			numbers[nr] = id.Name
		}
	}
	seen := map[string]bool{}
	for _, c := range l.table.IA32 {
		if seen[c.Name] {
			l.errs.Add(c.Pos, c.Name, "%s is listed twice", c.Name)
		}
		seen[c.Name] = true
		if c.As != "" {
			amd64(c.Pos, c.Name, c.As)
		}
		nr, known := 0, false
		if id := l.ids[c.Name]; id != nil {
			nr, known = id.NR[IA32]
		}
		switch {
		case known && c.NR >= 0:
			l.errs.Add(c.Pos, c.Name, "nr of a call with a code (its line in ids has it)")
		case known:
			c.NR = nr
		case c.NR < 0:
			l.errs.Add(c.Pos, c.Name, "nr is missing (no code has it: nr: 193 is an example)")
		case numbers[c.NR] != "":
			l.errs.Add(c.Pos, c.Name, "nr %d is the number of %s", c.NR, numbers[c.NR])
		default:
			numbers[c.NR] = c.Name
		}
	}
	for _, c := range l.table.X32 {
		amd64(c.Pos, c.Name, c.Name)
	}
}

func has(nr map[string]int, arch string) bool {
	_, ok := nr[arch]
	return ok
}

// IA32Wide reports how a 32-bit task passes an argument of a C type: in two registers, the
// low half first, or as a signed number of 32 bits that 64-bit tasks pass in 64.
func IA32Wide(ctype string) (pair, signed bool) {
	c, ok := cTypeOf(ctype)
	if !ok || IsPointer(ctype) || c.bits < 64 {
		return false, false
	}
	return !c.long, c.long && c.signed
}
