// SPDX-License-Identifier: Apache-2.0

package bpfcheck

import (
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// walk finds which instructions a program can reach. It follows constants through registers and the stack as the verifier does,
// which does not look at code behind a branch that a constant decides. Everything else is unknown, and both ways are taken: what
// is not reached here is not reached there.
type walk struct {
	o       *Object
	code    asm.Instructions
	places  []place
	lines   []*btf.Line                      // of the source; nil if not known
	at      map[asm.RawInstructionOffset]int // instruction at an offset of the whole code
	offset  []asm.RawInstructionOffset
	starts  map[string]int    // of functions
	fixed   map[int]relocated // relocations
	address map[int]bool      // loads of kernel functions' addresses: whether the function is there
	states  map[int]*state    // on entry to an instruction that is reached
	todo    []int
}

// value is a constant, or the address of a variable that the kernel does not let anyone write.
type value struct {
	known   bool
	n       uint64
	section string // of a variable; n is the offset in it
}

// state has the registers and the 8-byte places of the stack that constants were stored in.
type state struct {
	regs  [11]value
	stack map[int16]value
}

func newWalk(o *Object, code asm.Instructions) *walk {
	w := &walk{o: o, code: code, at: map[asm.RawInstructionOffset]int{}, starts: map[string]int{},
		fixed: map[int]relocated{}, address: map[int]bool{}, states: map[int]*state{}}
	function, start := "", asm.RawInstructionOffset(0)
	var line *btf.Line // of this instruction and those after it, until another one begins
	for iter := code.Iterate(); iter.Next(); {
		if name := iter.Ins.Symbol(); name != "" {
			function, start = name, iter.Offset
			w.starts[name] = iter.Index
			line = nil
		}
		if l, ok := iter.Ins.Source().(*btf.Line); ok {
			line = l
		}
		w.lines = append(w.lines, line)
		w.places = append(w.places, place{function, iter.Offset - start})
		w.at[iter.Offset] = iter.Index
		w.offset = append(w.offset, iter.Offset)
	}
	return w
}

func (w *walk) reached(i int) bool { return w.states[i] != nil }

func (w *walk) run() {
	w.enter(0, &state{})
	for len(w.todo) > 0 {
		i := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.step(i)
	}
}

// enter joins a state with what was known on entry to an instruction.
func (w *walk) enter(i int, s *state) {
	if i < 0 || i >= len(w.code) {
		return
	}
	old := w.states[i]
	if old == nil {
		w.states[i] = s.clone()
		w.todo = append(w.todo, i)
		return
	}
	changed := false
	for r := range old.regs {
		if old.regs[r].known && old.regs[r] != s.regs[r] {
			old.regs[r], changed = value{}, true
		}
	}
	for at, v := range old.stack {
		if s.stack[at] != v {
			delete(old.stack, at)
			changed = true
		}
	}
	if changed {
		w.todo = append(w.todo, i)
	}
}

func (s *state) clone() *state {
	c := &state{regs: s.regs, stack: make(map[int16]value, len(s.stack))}
	for at, v := range s.stack {
		c.stack[at] = v
	}
	return c
}

// step follows one instruction.
func (w *walk) step(i int) {
	ins := &w.code[i]
	s := w.states[i].clone()
	switch class := ins.OpCode.Class(); {
	case class.IsJump():
		w.jump(i, s)
		return
	case ins.OpCode.IsDWordLoad():
		s.regs[ins.Dst] = w.loaded(i)
	case class == asm.LdXClass:
		s.regs[ins.Dst] = w.read(s, ins)
	case class.IsStore():
		if ins.Dst == asm.R10 {
			s.store(ins)
		}
		if class == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode { // may return the old value
			s.regs[ins.Src], s.regs[asm.R0] = value{}, value{}
		}
	case class.IsALU():
		s.regs[ins.Dst] = alu(s, ins)
	default: // of packets
		s.regs[asm.R0] = value{}
	}
	w.enter(i+1, s)
}

// loaded is the value of a load of 64 bits from the code.
func (w *walk) loaded(i int) value {
	ins := &w.code[i]
	if there, ok := w.address[i]; ok {
		if there {
			return value{known: true, n: 1} // not 0; nothing else is compared with it
		}
		return value{known: true}
	}
	switch {
	case ins.Src == asm.PseudoMapValue:
		return value{known: true, section: ins.Reference(), n: uint64(ins.Constant) >> 32}
	case ins.Src == asm.R0:
		return value{known: true, n: uint64(ins.Constant)}
	}
	return value{}
}

// read is the value of a load from memory: of a constant variable, or from the stack.
func (w *walk) read(s *state, ins *asm.Instruction) value {
	from := s.regs[ins.Src]
	switch {
	case ins.OpCode.Mode() != asm.MemMode:
		return value{}
	case ins.Src == asm.R10:
		if ins.OpCode.Size() == asm.DWord {
			return s.stack[ins.Offset]
		}
	case from.known && from.section != "":
		return constantAt(w.o.Spec, from.section, from.n+uint64(int64(ins.Offset)), ins.OpCode.Size().Sizeof())
	}
	return value{}
}

// constantAt reads a variable that programs cannot change.
func constantAt(spec *ebpf.CollectionSpec, section string, offset uint64, size int) value {
	for _, v := range spec.Variables {
		end := uint64(v.Offset) + uint64(len(v.Value))
		if v.SectionName != section || !v.Constant() || offset < uint64(v.Offset) || offset+uint64(size) > end {
			continue
		}
		at := v.Value[offset-uint64(v.Offset):][:size]
		n := uint64(0)
		for i := range at {
			n |= uint64(at[i]) << (8 * i)
		}
		return value{known: true, n: n}
	}
	return value{}
}

// store keeps a constant that is stored on the stack, and forgets what it overlaps.
func (s *state) store(ins *asm.Instruction) {
	size := int16(ins.OpCode.Size().Sizeof())
	for at := range s.stack {
		if at < ins.Offset+size && ins.Offset < at+8 {
			delete(s.stack, at)
		}
	}
	if size != 8 || ins.OpCode.Mode() != asm.MemMode {
		return
	}
	v := value{known: true, n: uint64(ins.Constant)}
	if ins.OpCode.Class() == asm.StXClass {
		v = s.regs[ins.Src]
	}
	if v.known {
		s.stack[ins.Offset] = v
	}
}

// operand returns the second operand of an instruction.
func operand(s *state, ins *asm.Instruction) value {
	if ins.OpCode.Source() == asm.RegSource {
		return s.regs[ins.Src]
	}
	return value{known: true, n: uint64(ins.Constant)}
}

func alu(s *state, ins *asm.Instruction) value {
	a, b := s.regs[ins.Dst], operand(s, ins)
	op := ins.OpCode.ALUOp()
	if op == asm.Mov {
		a = value{known: true}
		if ins.Offset != 0 { // with sign extension
			return value{}
		}
	}
	if !a.known || !b.known || b.section != "" && op != asm.Mov {
		return value{}
	}
	if a.section != "" { // address and offset
		if op == asm.Add && ins.OpCode.Class() == asm.ALU64Class {
			a.n += b.n
			return a
		}
		return value{}
	}
	wide := ins.OpCode.Class() == asm.ALU64Class
	x, y, bits := a.n, b.n, uint64(64)
	if !wide {
		x, y, bits = uint64(uint32(x)), uint64(uint32(y)), 32
	}
	switch op {
	case asm.Mov:
		if b.section != "" {
			if wide {
				return b
			}
			return value{}
		}
		x = y
	case asm.Add:
		x += y
	case asm.Sub:
		x -= y
	case asm.Mul:
		x *= y
	case asm.And:
		x &= y
	case asm.Or:
		x |= y
	case asm.Xor:
		x ^= y
	case asm.LSh:
		x <<= y % bits
	case asm.RSh:
		x >>= y % bits
	default:
		return value{}
	}
	if !wide {
		x = uint64(uint32(x))
	}
	return value{known: true, n: x}
}

// jump follows a jump, a call or an exit.
func (w *walk) jump(i int, s *state) {
	ins := &w.code[i]
	op := ins.OpCode.JumpOp()
	switch op {
	case asm.Exit:
		return
	case asm.Call:
		if ins.IsFunctionCall() {
			if start, ok := w.starts[ins.Reference()]; ok {
				w.enter(start, &state{})
			}
		}
		for r := asm.R0; r <= asm.R5; r++ {
			s.regs[r] = value{}
		}
		clear(s.stack) // it may have an address in it
		w.enter(i+1, s)
		return
	case asm.Ja:
		distance := int64(ins.Offset)
		if ins.OpCode.Class() == asm.Jump32Class {
			distance = ins.Constant
		}
		w.enter(w.target(i, distance), s)
		return
	}
	taken, known := decide(s, ins)
	if taken || !known {
		w.enter(w.target(i, int64(ins.Offset)), s)
	}
	if !taken || !known {
		w.enter(i+1, s)
	}
}

// target returns the instruction at a distance behind the one that follows i.
func (w *walk) target(i int, distance int64) int {
	if to, ok := w.at[asm.RawInstructionOffset(int64(w.offset[i])+1+distance)]; ok {
		return to
	}
	return math.MaxInt // outside of the code: there is none
}

// decide reports whether a conditional jump is taken, if constants decide that.
func decide(s *state, ins *asm.Instruction) (taken, known bool) {
	a, b := s.regs[ins.Dst], operand(s, ins)
	if !a.known || !b.known || a.section != "" || b.section != "" {
		return false, false
	}
	x, y := a.n, b.n
	sx, sy := int64(x), int64(y)
	if ins.OpCode.Class() == asm.Jump32Class {
		sx, sy = int64(int32(x)), int64(int32(y))
		x, y = uint64(uint32(x)), uint64(uint32(y))
	}
	switch ins.OpCode.JumpOp() {
	case asm.JEq:
		return x == y, true
	case asm.JNE:
		return x != y, true
	case asm.JGT:
		return x > y, true
	case asm.JGE:
		return x >= y, true
	case asm.JLT:
		return x < y, true
	case asm.JLE:
		return x <= y, true
	case asm.JSet:
		return x&y != 0, true
	case asm.JSGT:
		return sx > sy, true
	case asm.JSGE:
		return sx >= sy, true
	case asm.JSLT:
		return sx < sy, true
	case asm.JSLE:
		return sx <= sy, true
	}
	return false, false
}
