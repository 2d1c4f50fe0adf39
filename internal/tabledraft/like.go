// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"regexp"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

// nearest returns the entry whose name is most like that of a call: it has the most words at its beginning, then letters,
// then words anywhere. If none is like it, it is the entry with the most arguments of the same names. nil: there is none.
func (d *Drafter) nearest(e *Entry) *tables.Syscall {
	var best, other *tables.Syscall
	most, arguments := 0, 0
	for _, s := range d.table.Syscalls {
		if s.Name == e.Call {
			continue
		}
		if n := alike(e.Call, s.Name); n >= most && n > 0 {
			best, most = s, n
		}
		n := 0
		for _, a := range s.Params {
			if slices.ContainsFunc(e.Args, func(b tables.CParam) bool { return b.Name == a.Name }) {
				n++
			}
		}
		if n > arguments {
			other, arguments = s, n
		}
	}
	if best == nil {
		return other
	}
	return best
}

// alike says how much two names of calls are alike.
func alike(a, b string) int {
	const word, letter = 100, 10
	n := 0
	wa, wb := strings.Split(a, "_"), strings.Split(b, "_")
	for i := range min(len(wa), len(wb)) {
		if wa[i] != wb[i] {
			break
		}
		n += 2 * word
	}
	for _, w := range wa {
		if slices.Contains(wb, w) {
			n += word
		}
	}
	sa, sb := stem(a), stem(b)
	if sa == sb {
		n += 3 * word
	}
	if strings.HasSuffix(a, b) || strings.HasSuffix(b, a) || strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
		n += word
	}
	common := 0
	for common < min(len(a), len(b)) && a[common] == b[common] {
		common++
	}
	if common >= 3 {
		n += common * letter
	}
	return n
}

// The kernel names the calls of a family after the first: of a descriptor (f), of a link itself (l), with real-time
// signals (rt_), what reads (get) and writes (set), relative to a directory (at), and what came later (2, 64).
var stemPattern = regexp.MustCompile(`^(f|l|rt_|get|set)?([a-z_]*?)(at)?(\d*)$`)

// stem returns the name of a call's family.
func stem(call string) string {
	m := stemPattern.FindStringSubmatch(call)
	if m == nil || len(m[2]) < 3 {
		return call
	}
	return m[2]
}

// likeness is an argument of another entry that is of the same kind, with the params that it gives.
type likeness struct {
	entry  *tables.Syscall
	arg    int
	params []*tables.Param
	score  int
}

var word = regexp.MustCompile(`[A-Za-z_]\w*`)

// written is the source of a param as a file has it.
func written(p *tables.Param) string {
	if p.Written != "" {
		return p.Written
	}
	if p.From == nil {
		return ""
	}
	return p.From.String()
}

// about returns the params of an entry that come of an argument alone, the result and arguments in with aside.
func about(s *tables.Syscall, arg int, with map[string]bool) []*tables.Param {
	names, pointers := map[string]bool{}, map[string]bool{}
	for _, a := range s.Params {
		names[a.Name] = true
		pointers[a.Name] = tables.IsPointer(a.Type) && !tables.IsPointer(s.Params[arg].Type)
	}
	var list []*tables.Param
params:
	for _, p := range s.Exit.Params {
		if p.From == nil || p.Switch != nil || p.Type == "dyn" {
			continue
		}
		texts := []string{written(p)}
		if p.Len != nil {
			texts = append(texts, p.Len.String())
		}
		for _, c := range p.When {
			if c.Op != "readable" {
				texts = append(texts, c.Var)
			}
		}
		its := false
		for i, text := range texts {
			for _, w := range word.FindAllString(fieldsOut(text), -1) {
				if w == s.Params[arg].Name && i == 0 {
					its = true
				} else if names[w] && w != s.Params[arg].Name && (!with[w] || pointers[w]) {
					continue params
				}
			}
		}
		if its {
			list = append(list, p)
		}
	}
	return list
}

var member = regexp.MustCompile(`(->|\.)\w+`)

// fieldsOut leaves out names of members, which may be those of arguments.
func fieldsOut(text string) string { return member.ReplaceAllString(text, "") }

// pointed is what a C type points to, in a word: a struct, or a number.
func pointed(ctype string) string {
	t := strings.TrimPrefix(strings.TrimSpace(ctype), "const ")
	return strings.TrimPrefix(strings.TrimPrefix(t, "struct "), "union ")
}

// reads reports whether a call reads what an argument points to, or else writes it.
func reads(e *Entry, i int) bool { return readsOf(e.Call, e.Args, i) }

func readsOf(call string, args []tables.CParam, i int) bool {
	t := args[i].Type
	switch {
	case strings.HasPrefix(t, "const "), requests.MatchString(args[i].Name):
		return true
	case i > 0 && pointed(args[i-1].Type) == pointed(t) && kernelfacts.Target(t) != "" && !strings.HasSuffix(t, "char *"):
		return false // of two pointers to the same the call reads the first and writes the second
	case times.MatchString(t):
		return !getTime.MatchString(call)
	case i+1 < len(args) && pointed(args[i+1].Type) == pointed(t):
		return true
	}
	return !getters.MatchString(call)
}

const family = 300 // so alike are the names of calls of a family

// relative finds the most alike call of the family that has an argument of the same name and type in the kernel.
func (d *Drafter) relative(call string, a kernelfacts.Arg) (best *tables.Syscall, arg int) {
	most := family - 1
	for _, s := range d.table.Syscalls {
		n := alike(call, s.Name)
		if s.Name == call || n <= most {
			continue
		}
		kernel := d.calls[d.symbol(s.Name)].Args
		if len(kernel) != len(s.Params) {
			continue
		}
		for j, b := range kernel {
			if b.Name == a.Name && normal(b.Type) == normal(a.Type) {
				best, arg, most = s, j, n
			}
		}
	}
	return best, arg
}

// likeFamily drafts the params of an argument as another call of the family has them. ok says that there is one.
func (d *Drafter) likeFamily(e *Entry, i int) (list []Param, ok bool) {
	s, j := d.relative(e.Call, d.calls[d.symbol(e.Call)].Args[i])
	if s == nil || s.Exit.Code < firstOwn || s.Exit.Filler != "" || e.roles[i] == path || e.roles[i] == dirfd {
		return nil, false
	}
	with := map[string]bool{}
	for _, a := range e.Args {
		with[a.Name] = true
	}
	params := about(s, j, with)
	for _, p := range s.Exit.Params {
		if slices.Contains(params, p) {
			continue
		}
		words := word.FindAllString(fieldsOut(written(p)), -1)
		pointer := slices.ContainsFunc(s.Params, func(a tables.CParam) bool { return tables.IsPointer(a.Type) && slices.Contains(words, a.Name) })
		if p.Switch != nil || slices.Contains(words, s.Params[j].Name) && (tables.IsPointer(s.Params[j].Type) || !pointer) {
			return nil, false // more comes of it than can be taken over
		}
	}
	for _, p := range params { // a count that was returned is no count that is passed
		if tables.IsPointer(e.Args[i].Type) && reads(e, i) != readsOf(s.Name, s.Params, j) && slices.Contains(word.FindAllString(written(p)+" "+p.Len.String(), -1), "ret") {
			return nil, false
		}
	}
	list = d.takeOver(e, i, &likeness{entry: s, arg: j, params: params})
	for k := range list {
		list[k].role = e.roles[i]
		set := d.sets[list[k].Names]
		if strings.HasPrefix(list[k].Names, s.Name+"_") || set != nil && d.sets[e.Call+"_"+list[k].Name] != nil {
			return nil, false // a set of that call
		}
	}
	return list, true
}

// likeStruct drafts the params of a pointer as the most alike entry has them that takes one to the same.
func (d *Drafter) likeStruct(e *Entry, i int) []Param {
	own := map[string]string{} // arguments of the draft by the name that others may have
	kernel := d.calls[d.symbol(e.Call)].Args
	for _, a := range e.Args {
		own[a.Name] = a.Name
	}
	var best *likeness
	for _, s := range d.table.Syscalls {
		if s.Name == e.Call {
			continue
		}
		for j, a := range s.Params {
			if pointed(a.Type) != pointed(e.Args[i].Type) {
				continue
			}
			if e.roles[i] != object && a.Name != e.Args[i].Name {
				continue // a number says little: its name counts
			}
			with := map[string]bool{}
			for name := range own {
				with[name] = true
			}
			l := &likeness{entry: s, arg: j, params: about(s, j, with)}
			if len(l.params) == 0 {
				continue
			}
			if a.Name == e.Args[i].Name || a.Name == kernel[i].Name {
				l.score += 400
			}
			if readsOf(s.Name, s.Params, j) == reads(e, i) {
				l.score += 500
			}
			l.score += alike(e.Call, s.Name)
			if best == nil || l.score > best.score {
				best = l
			}
		}
	}
	if best == nil {
		return nil
	}
	return d.takeOver(e, i, best)
}

// takeOver takes over the params of another entry's argument.
func (d *Drafter) takeOver(e *Entry, i int, l *likeness) []Param {
	from, to := l.entry.Params[l.arg].Name, e.Args[i].Name
	rename := func(text string) string { return renameWord(text, from, to) }
	in, wasIn := reads(e, i), readsOf(l.entry.Name, l.entry.Params, l.arg)
	if !strings.HasSuffix(e.Args[i].Type, "*") || e.roles[i] == result && e.Args[i].Type == l.entry.Params[l.arg].Type {
		in, wasIn = true, true
	}
	second := i > 0 && e.roles[i] == object && pointed(e.Args[i-1].Type) == pointed(e.Args[i].Type)
	var params []Param
	for _, q := range l.params {
		p := Param{Name: q.Name, Type: q.Type, From: rename(written(q)), Names: q.Names, Base: q.Base, Show: d.shown(q), Snaplen: q.Snaplen, arg: i, role: object}
		if q.Name == from {
			p.Name = to
		}
		switch {
		case !second:
			p.Name = strings.TrimPrefix(p.Name, "old_")
		case strings.HasSuffix(e.Args[i].Type, "*") && q.Name != from && !strings.HasPrefix(p.Name, "old"):
			p.Name = "old_" + p.Name
		}
		if q.Len != nil {
			p.Len = rename(q.Len.String())
		}
		p.When = rename(when(q))
		if in && !wasIn && strings.Contains(p.When, "ret") {
			p.When = ""
		}
		if !in && wasIn && !strings.Contains(p.When, "ret") {
			p.When = "{ret: 0}"
		}
		params = append(params, p)
	}
	return params
}

// renameWord replaces an argument's name in a source, and no member of that name.
func renameWord(text, from, to string) string {
	out, last := "", 0
	for _, at := range word.FindAllStringIndex(text, -1) {
		before := text[:at[0]]
		if text[at[0]:at[1]] == from && !strings.HasSuffix(before, "->") && !strings.HasSuffix(before, ".") {
			out += text[last:at[0]] + to
			last = at[1]
		}
	}
	return out + text[last:]
}

// when writes the conditions of a param as the table's language has them.
func when(p *tables.Param) string {
	var conds []string
	for _, c := range p.When {
		switch {
		case c.Op == "readable":
			conds = append(conds, "readable: "+c.Var)
		case c.Op == "in" && len(c.In) == 1:
			conds = append(conds, c.Var+": "+c.In[0].String())
		case c.Op == "in":
			var values []string
			for _, v := range c.In {
				values = append(values, v.String())
			}
			conds = append(conds, c.Var+": ["+strings.Join(values, ", ")+"]")
		default:
			conds = append(conds, c.Var+`: "`+c.Op+" "+c.In[0].String()+`"`)
		}
	}
	if len(conds) == 0 {
		return ""
	}
	return "{" + strings.Join(conds, ", ") + "}"
}

// likeBuffer drafts a buffer that the call writes as an entry does whose argument has the same name and length.
func (d *Drafter) likeBuffer(e *Entry, i int) *Param {
	var best *likeness
	for _, s := range d.table.Syscalls {
		if s.Name == e.Call || s.Exit.Code < firstOwn {
			continue // the reference's events do as they have always done
		}
		for j, a := range s.Params {
			if j+1 >= len(s.Params) || a.Type != e.Args[i].Type || a.Name != e.Args[i].Name || s.Params[j+1].Name != e.Args[i+1].Name {
				continue
			}
			l := &likeness{entry: s, arg: j, params: about(s, j, map[string]bool{s.Params[j+1].Name: true}), score: alike(e.Call, s.Name)}
			if len(l.params) == 1 && (best == nil || l.score > best.score) {
				best = l
			}
		}
	}
	if best == nil {
		return nil
	}
	p := d.takeOver(e, i, best)[0]
	p.role = result
	return &p
}
