// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// Layouts has a number for each layout of user memory: that of 64-bit tasks on amd64, of
// 32-bit tasks there, and of 64-bit tasks elsewhere, which differs from the first only in
// structs that are packed on x86 alone.
type Layouts [3]int

// Struct is a struct of user memory, laid out as the kernel has it.
type Struct struct {
	Pos        expr.Pos
	Name       string
	Header     string // the C header that has it
	Fields     []StructField
	Size       Layouts
	Align      Layouts
	Extensible string // the argument, or field, with the size of the struct in use; "" if the size is fixed
	Smallest   int    // the size in use if that is given as 0; 0: none
	Packed     string // where it has no gaps: true (everywhere), x86, or ""
}

// StructField is one field.
type StructField struct {
	Name   string
	Type   CData
	Offset Layouts
}

// CData is data in memory: a number, a pointer, a struct or an array.
type CData struct {
	Kind   string  // number, rlim, pointer, struct
	Size   Layouts // of one element
	Align  Layouts // of one element
	Signed bool    // number
	To     *CData  // pointer: what it points to; nil if unknown
	Struct *Struct // struct
	Count  int     // elements of an array; 0: not an array
}

// Field returns the field of that name.
func (s *Struct) Field(name string) *StructField {
	if i := slices.IndexFunc(s.Fields, func(f StructField) bool { return f.Name == name }); i >= 0 {
		return &s.Fields[i]
	}
	return nil
}

func (s *Struct) names() []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
}

// total returns the size of all elements.
func (d *CData) total(layout int) int { return d.Size[layout] * max(d.Count, 1) }

func (l *loader) structEntry(f *file, n *yaml.Node) {
	m := f.mapping(n, peek(n, "struct"), "entry", []string{"struct", "header", "packed", "extensible", "smallest", "doc", "fields"}, &l.errs)
	if m == nil || !m.required("struct", "struct: open_how names it") || !m.required("fields", "fields: {flags: u64} are its members in order") {
		return
	}
	name := m.scalar("struct")
	if name == nil {
		return
	}
	s := &Struct{Pos: f.Pos(n), Name: name.Value, Header: m.text("header"), Packed: m.oneOf("packed", []string{"true", "false", "x86"}), Align: Layouts{1, 1, 1}}
	if !expr.IsIdent(s.Name) {
		m.errorf(name, "bad name %s (a C identifier is expected)", s.Name)
		return
	}
	if old := l.structs[s.Name]; old != nil {
		m.errorf(name, "struct %s is described twice (first %s)", s.Name, onLine(old.Pos, s.Pos))
		return
	}
	l.structs[s.Name] = s
	l.table.Structs = append(l.table.Structs, s)
	fm := f.mapping(m.byKey["fields"], s.Name, "fields", nil, &l.errs)
	if fm == nil {
		return
	}
	for _, e := range fm.fields {
		if !expr.IsIdent(e.key.Value) {
			fm.errorf(e.key, "bad field name %q (a C identifier is expected)", e.key.Value)
			continue
		}
		t := fm.asScalar(e.val, e.key.Value)
		if t == nil {
			continue
		}
		data, ok := l.cdata(t.Value)
		if !ok {
			fm.errorf(t, "unknown C type %s (a number such as u32 or long, a pointer, a struct described before, with [n] for an array)", t.Value)
			continue
		}
		s.add(e.key.Value, *data)
	}
	for i := range s.Size {
		s.Size[i] = roundUp(s.Size[i], s.Align[i])
	}
	s.Extensible = m.text("extensible")
	if n := m.byKey["smallest"]; n != nil {
		v, ok := m.uint(n, "smallest", uint64(s.Size[0]))
		if s.Extensible == "" {
			m.errorf(n, "smallest of a struct of fixed size (extensible says where its size is)")
		} else if ok && v == 0 {
			m.errorf(n, "smallest of 0 bytes (leave it out)")
		}
		s.Smallest = int(v)
	}
}

// add places a field after the last one.
func (s *Struct) add(name string, d CData) {
	f := StructField{Name: name, Type: d}
	for i := range s.Size {
		align := d.Align[i]
		if s.Packed == "true" || s.Packed == "x86" && i < 2 {
			align = 1
		}
		f.Offset[i] = roundUp(s.Size[i], align)
		s.Size[i] = f.Offset[i] + d.total(i)
		s.Align[i] = max(s.Align[i], align)
	}
	s.Fields = append(s.Fields, f)
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// cdata reads a C type: u32, unsigned long, void *, struct iovec *, char[16].
func (l *loader) cdata(text string) (*CData, bool) {
	count := 0
	if base, n, ok := strings.Cut(text, "["); ok {
		var err error
		if count, err = strconv.Atoi(strings.TrimSuffix(n, "]")); err != nil || count < 1 || !strings.HasSuffix(n, "]") {
			return nil, false
		}
		text = base
	}
	text = strings.TrimSpace(text)
	if to, ok := strings.CutSuffix(text, "*"); ok {
		d := &CData{Kind: "pointer", Size: Layouts{8, 4, 8}, Align: Layouts{8, 4, 8}, Count: count}
		d.To, _ = l.cdata(to)
		return d, true
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "const "), "struct ")
	if s := l.structs[text]; s != nil {
		return &CData{Kind: "struct", Struct: s, Size: s.Size, Align: s.Align, Count: count}, true
	}
	d := &CData{Kind: "number", Count: count}
	switch text {
	case "rlim_t": // all ones mean no limit, in both layouts
		d.Kind = "rlim"
		d.Size = Layouts{8, 4, 8}
	case "uid_t", "gid_t": // 16 bits in old calls of 32-bit tasks
		d.Kind = "id"
		d.Size = Layouts{4, 4, 4}
	case "aligned_u64":
		d.Size, d.Align = Layouts{8, 8, 8}, Layouts{8, 8, 8}
		return d, true
	default:
		c, ok := cTypeOf(text)
		if !ok {
			return nil, false
		}
		d.Size, d.Signed = Layouts{c.bits / 8, c.bits / 8, c.bits / 8}, c.signed
		if c.long {
			d.Size[1] = 4
		}
	}
	d.Align = Layouts{d.Size[0], min(d.Size[1], 4), d.Size[2]} // ia32 aligns 64 bits to 4 bytes
	return d, true
}

func (l Layouts) plus(m Layouts, times int) Layouts {
	for i := range l {
		l[i] += times * m[i]
	}
	return l
}

// in returns the number in the layout of the calling task.
func (l Layouts) in(s *source, at *expr.Node) *expr.Node {
	num := func(v int) *expr.Node { return numberAt(at, v) }
	switch {
	case l[0] == l[1] && l[0] == l[2]:
		return num(l[0])
	case l[0] == l[2]:
		return callTo(at, "layout_off", num(l[0]), num(l[1]))
	case l[0] == l[1]:
		return callTo(at, "x86_off", num(l[0]), num(l[2]))
	}
	s.errorf(at, "%s is in a different place in each layout", at)
	return num(0)
}

// location is what an expression refers to: data in user memory, or the value of a
// pointer in a register.
type location struct {
	addr   *expr.Node // a pointer
	offset Layouts    // of the data, when loaded is false
	data   *CData
	loaded bool       // addr is itself the value: a pointer to data
	size   *expr.Node // of an extensible struct at addr: its size in use
	each   *each      // the place is in each element of an array
}

// each is an array whose elements a list param has a number of: each(fds, n).fd of an
// array of structs, each(iocbpp, nr)->aio_fildes of an array of pointers.
type each struct {
	count  *expr.Node
	stride Layouts // of structs; 0: pointers
}

// elements returns the call that sends a number of each element.
func (s *source) elements(at *expr.Node, p *location) *expr.Node {
	if d := p.data; d.Kind != "number" && d.Kind != "pointer" || d.Count > 0 {
		s.errorf(at, "%s is not a number (name a field)", at)
	}
	off, size := p.offset.in(s, at), p.data.Size.in(s, at)
	if d := p.data; d.Signed && d.Size[0] == d.Size[1] && (d.Size[0] == 2 || d.Size[0] == 4) {
		size = numberAt(at, d.Size[0]+16*(64-8*d.Size[0]))
	}
	x := callTo(at, "user_array", p.addr, p.each.count, p.each.stride.in(s, at), off, size)
	if p.each.stride[0] == 0 {
		x = callTo(at, "user_pointed", p.addr, p.each.count, off, size)
	}
	if s.l.helpers["param"][x.Text] == nil {
		s.errorf(at, "%s is sent with %s, which helpers.yaml does not declare", at, x.Text)
		return &expr.Node{Kind: expr.Name, Pos: at.Pos, Text: "empty"}
	}
	return x
}

// plainEach returns the place of each(array, n) without an access: of the elements themselves.
func (s *source) plainEach(n *expr.Node) *location {
	p := s.eachArray(n)
	if p == nil {
		return nil
	}
	return &location{addr: p.addr, data: p.data, each: &each{count: n.Args[1], stride: p.data.Size}}
}

// eachArray returns the array of each(array, n).
func (s *source) eachArray(n *expr.Node) *location {
	if len(n.Args) != 2 {
		s.errorf(n, "each has %d arguments (an array and the number of its elements are expected)", len(n.Args))
		return nil
	}
	p := s.place(n.Args[0])
	if p == nil {
		return nil
	}
	s.check(n.Args[1], false)
	return p
}

// eachPlace returns the place of each(array, n), with its access n.
func (s *source) eachPlace(n *expr.Node, arrow bool) *location {
	p := s.eachArray(n)
	if p == nil {
		return nil
	}
	d := p.data
	if !p.loaded || d.Kind == "pointer" != arrow || arrow && d.To == nil {
		s.errorf(n, "wrong access to %s (. takes a field of each struct of an array, -> follows each pointer of one)", n)
		return nil
	}
	if arrow {
		return &location{addr: p.addr, data: d.To, each: &each{count: n.Args[1]}}
	}
	return &location{addr: p.addr, data: d, each: &each{count: n.Args[1], stride: d.Size}}
}

// member turns accesses through an argument into reads of user memory, with the layout
// of the calling task.
func (s *source) member(n *expr.Node) {
	p := s.place(n)
	if p == nil {
		*n = expr.Node{Kind: expr.Int, Pos: n.Pos} // reported already
		if s.list {
			*n = expr.Node{Kind: expr.Name, Pos: n.Pos, Text: "empty"}
		}
		return
	}
	var x *expr.Node
	switch {
	case p.each != nil && !s.list:
		s.errorf(n, "%s has several values (type numbers has them)", n)
		x = numberAt(n, 0)
	case p.each != nil:
		x = s.elements(n, p)
	case s.bytes && !p.loaded && p.data.isBytes():
		x = s.address(n, p)
	default:
		x = s.load(n, p)
	}
	x.Pos = n.Pos
	*n = *x
}

// place returns what a source refers to; nil after an error.
func (s *source) place(n *expr.Node) *location {
	switch n.Kind {
	case expr.Name:
		arg, _ := s.ctx.arg(n.Text)
		if arg == nil {
			s.name(n, false)
			return nil
		}
		d, ok := s.l.cdata(arg.Type)
		if !ok || d.Kind != "pointer" || d.To == nil {
			s.errorf(n, "%s does not point to a described type (%s; structs are in structs.yaml)", n.Text, arg.Type)
			return nil
		}
		return &location{addr: n, data: d.To, loaded: true, size: s.sizeOf(d.To, n)}
	case expr.Call: // a cast: if_dqblk(addr)
		if n.Text == "each" {
			return s.plainEach(n)
		}
		st := s.l.structs[n.Text]
		if st == nil || len(n.Args) != 1 {
			s.errorf(n, "%s cannot be followed (a struct of structs.yaml, with the pointer in brackets, is expected)%s", n.Text,
				hint.DidYouMean(n.Text, slices.Sorted(maps.Keys(s.l.structs))))
			return nil
		}
		s.check(n.Args[0], false)
		d := &CData{Kind: "struct", Struct: st, Size: st.Size, Align: st.Align}
		return &location{addr: n.Args[0], data: d, loaded: true, size: s.sizeOf(d, n.Args[0])}
	case expr.Member:
		if of := n.Args[0]; of.Kind == expr.Call && of.Text == "each" {
			p := s.eachPlace(of, n.Num == 1)
			if p == nil {
				return nil
			}
			return s.field(n, p)
		}
		p := s.place(n.Args[0])
		if p == nil {
			return nil
		}
		if p.each != nil && n.Num == 1 {
			s.errorf(n, "-> %s in each element of an array (only fields of the element itself have lists)", n.Text)
			return nil
		}
		if p.loaded != (n.Num == 1) && !(n.Num == 1 && p.data.Kind == "pointer") {
			s.errorf(n, "wrong access to %s (-> follows a pointer, . takes a field of a struct)", n.Text)
			return nil
		}
		if !p.loaded && n.Num == 1 { // follow a pointer in memory
			if p.data.To == nil || p.data.Count > 0 {
				s.errorf(n, "-> %s from what does not point to a described type", n.Text)
				return nil
			}
			p = &location{addr: s.load(n, p), data: p.data.To, loaded: true}
		}
		return s.field(n, p)
	case expr.Elem:
		p := s.place(n.Args[0])
		if p == nil {
			return nil
		}
		i := n.Args[1]
		if i.Kind != expr.Int || i.Num < 0 || i.Num > 64 {
			s.errorf(i, "element %s (a number from 0 to 64 is expected)", i)
			return nil
		}
		if !p.loaded {
			if p.data.Count == 0 && p.data.Kind == "pointer" && p.data.To != nil {
				p = &location{addr: s.load(n, p), data: p.data.To, loaded: true}
			} else if int(i.Num) >= p.data.Count {
				s.errorf(i, "element %s of %d", i, p.data.Count)
				return nil
			}
		}
		one := *p.data
		one.Count = 0
		return &location{addr: p.addr, offset: p.offset.plus(one.Size, int(i.Num)), data: &one, size: p.size}
	}
	s.errorf(n, "a %s cannot be followed (a pointer is expected)", n.Kind)
	return nil
}

// field returns the place of a field of the struct at a place.
func (s *source) field(n *expr.Node, p *location) *location {
	if p.data.Kind != "struct" || p.data.Count > 0 {
		s.errorf(n, "%s of a value that is not a struct", n.Text)
		return nil
	}
	f := p.data.Struct.Field(n.Text)
	if f == nil {
		s.errorf(n, "struct %s has no field %s%s", p.data.Struct.Name, n.Text, hint.DidYouMean(n.Text, p.data.Struct.names()))
		return nil
	}
	return &location{addr: p.addr, offset: p.offset.plus(f.Offset, 1), data: &f.Type, size: p.size, each: p.each}
}

// sizeOf returns the size in use of an extensible struct: an argument of that name,
// else the struct's own field; nil if the size is fixed.
func (s *source) sizeOf(d *CData, ptr *expr.Node) *expr.Node {
	if d.Kind != "struct" || d.Struct.Extensible == "" {
		return nil
	}
	name := d.Struct.Extensible
	inUse := func(size *expr.Node) *expr.Node {
		if d.Struct.Smallest == 0 {
			return size
		}
		return callTo(ptr, "or_if_zero", size, numberAt(ptr, d.Struct.Smallest))
	}
	if arg, _ := s.ctx.arg(name); arg != nil {
		return inUse(&expr.Node{Kind: expr.Name, Pos: ptr.Pos, Text: name})
	}
	f := d.Struct.Field(name)
	if f == nil {
		s.errorf(ptr, "struct %s is as long as %s says, which is neither an argument nor a field of it", d.Struct.Name, name)
		return nil
	}
	return inUse(s.load(ptr, &location{addr: ptr, offset: f.Offset, data: &f.Type}))
}

func numberAt(at *expr.Node, v int) *expr.Node {
	return &expr.Node{Kind: expr.Int, Pos: at.Pos, Num: int64(v), Text: strconv.Itoa(v)}
}

func callTo(at *expr.Node, name string, args ...*expr.Node) *expr.Node {
	return &expr.Node{Kind: expr.Call, Pos: at.Pos, Text: name, Args: args}
}

// address returns where an array of bytes is, for a param that sends them.
func (s *source) address(at *expr.Node, p *location) *expr.Node {
	return &expr.Node{Kind: expr.Add, Pos: at.Pos, Args: []*expr.Node{p.addr, p.offset.in(s, at)}}
}

// isBytes reports whether data is an array of bytes, which a param of bytes or text may send.
func (d *CData) isBytes() bool {
	return d.Kind == "number" && d.Count > 0 && d.Size[0] == 1
}

// load reads the number or pointer at a place.
func (s *source) load(at *expr.Node, p *location) *expr.Node {
	num := func(v int) *expr.Node { return numberAt(at, v) }
	call := func(name string, args ...*expr.Node) *expr.Node { return callTo(at, name, args...) }
	d, off := p.data, p.offset
	if p.loaded || d.Kind == "struct" || d.Count > 0 {
		s.errorf(at, "%s is not a number (name a field or an element)", at)
		return num(0)
	}
	sign := "u"
	if d.Signed {
		sign = "s"
	}
	var x *expr.Node
	switch same := d.Size[0] == d.Size[1]; {
	case d.Kind == "id" && off[0] == off[1] && off[0]%4 == 0:
		x = call("user_id", p.addr, num(off[0]/4))
	case same && d.Size[0] == 8:
		x = call("user_u64", p.addr, off.in(s, at))
	case same:
		x = call(fmt.Sprintf("user_%s%d", sign, 8*d.Size[0]), p.addr, off.in(s, at))
	case d.Kind == "rlim" && off[0]%8 == 0 && off[0] == 2*off[1]:
		x = call("user_rlim", p.addr, num(off[0]/8))
	case d.Kind == "rlim":
		s.errorf(at, "%s of type rlim_t is not where helper user_rlim reads", at)
		return num(0)
	case sign == "u" && off[0]%8 == 0 && off[0] == 2*off[1]:
		x = call("user_long", p.addr, num(off[0]/8))
	default:
		x = call("user_"+sign+"long", p.addr, num(off[0]), num(off[1]))
	}
	if s.l.helpers["value"][x.Text] == nil {
		s.errorf(at, "%s is read with %s, which helpers.yaml does not declare", at, x.Text)
	}
	if p.size != nil {
		fits := call("fits", off.plus(d.Size, 1).in(s, at), p.size)
		x = &expr.Node{Kind: expr.Mul, Pos: at.Pos, Args: []*expr.Node{x, fits}}
	}
	return x
}
