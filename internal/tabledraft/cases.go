// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

// Case is a drafted case: pairs of a name and an expression, in order.
type Case struct {
	Name  string
	Given []Value
	Call  string
	Want  []Value
	Todo  string
}

// Value is a name with an expression.
type Value struct{ Name, Text string }

// cases drafts a case that should succeed, and one that fails because of a descriptor, an address or a flag.
func (d *Drafter) cases(e *Entry) {
	works := Case{Name: "works", Todo: "does it succeed so, and what has the event then?"}
	args := make([]string, len(e.Args))
	give := works.give
	for i, a := range e.Args {
		buffer := i > 0 && (e.roles[i-1] == data || e.roles[i-1] == result)
		switch e.roles[i] {
		case fd:
			args[i] = give("f", "tempfile()")
		case dirfd:
			args[i] = "AT_FDCWD"
		case path:
			give("dir", "tempdir()")
			args[i] = give("p", `file("$dir/p")`)
		case text:
			args[i] = `"` + a.Name + `"`
		case pid, uid, gid:
			args[i] = "$" + string(e.roles[i])
		case mode:
			args[i] = "0644"
		case signal:
			args[i] = "10"
		case data, result:
			args[i] = give("b", "pattern(16)")
		case socket:
			args[i] = give("a", `sockaddr("127.0.0.1:9")`)
		case in, out, array:
			args[i] = give("n", "u64s(0)")
		case readTime:
			args[i] = give("t", d.object(e, a.Type))
		case object:
			args[i] = give("s", d.object(e, a.Type))
		case pointer:
			args[i] = "NULL"
		case choice, flags:
			args[i] = d.firstName(e, i)
		default:
			args[i] = "0"
			if buffer || sizes.MatchString(a.Name) {
				args[i] = "16"
			}
			if s := d.before(e, i); s != nil && strings.HasSuffix(a.Name, "size") {
				args[i] = fmt.Sprint(s.Size[0])
			}
		}
	}
	works.Call = e.Call + "(" + strings.Join(args, ", ") + ")"
	if len(e.Exit) == 0 {
		e.Cases = append(e.Cases, works)
		return
	}
	first := e.Exit[0]
	ret := "0"
	if first.Type == "fd" || first.Type == "pid" || first.Type == "uid" || first.Type == "gid" {
		ret = "$ret"
	}
	works.Want = append([]Value{{first.Name, ret}}, d.wants(e, args, false)...)
	e.Cases = append(e.Cases, works)
	if !canFail(first) {
		return
	}

	fails := Case{Given: slices.Clone(works.Given)}
	bad, errno := -1, ""
	for _, try := range []struct {
		name, errno, value string
		of                 []role
	}{
		{"no such descriptor", "-EBADF", "-1", []role{fd}},
		{"unreadable", "-EFAULT", "$bad", []role{path, object, data, readTime, in, out, text, result}},
		{"unknown flags", "-EINVAL", "-1", []role{flags}},
		{"unknown value", "-EINVAL", "-1", []role{choice}},
	} {
		if at := slices.IndexFunc(e.roles, func(r role) bool { return slices.Contains(try.of, r) }); at >= 0 && bad < 0 {
			bad, errno = at, try.errno
			fails.Name = try.name
			args[at] = try.value
		}
	}
	if bad < 0 {
		return
	}
	fails.Call = e.Call + "(" + strings.Join(args, ", ") + ")"
	fails.Given = slices.DeleteFunc(fails.Given, func(v Value) bool { return !used(&fails, v.Name) })
	fails.Todo = "is that its error?"
	fails.Want = append([]Value{{first.Name, errno}}, d.wants(e, args, true)...)
	e.Cases = append(e.Cases, fails)
}

// before is the struct that the argument before points to, or nil.
func (d *Drafter) before(e *Entry, i int) *tables.Struct {
	if i == 0 {
		return nil
	}
	return d.known[kernelfacts.Target(e.Args[i-1].Type)]
}

// canFail reports whether the first param may have a negated errno.
func canFail(p Param) bool {
	return p.Type == "errno" || p.Type == "fd" || p.Type == "pid" || p.Type == "int64"
}

// give binds a name to an object, or another name if it has one, and returns it as a variable.
func (c *Case) give(name, text string) string {
	for base, n := name, 2; ; n++ {
		at := slices.IndexFunc(c.Given, func(v Value) bool { return v.Name == name })
		if at < 0 {
			c.Given = append(c.Given, Value{name, text})
			return "$" + name
		}
		if c.Given[at].Text == text && !strings.HasSuffix(text, "{}") {
			return "$" + name
		}
		name = fmt.Sprintf("%s%d", base, n)
	}
}

func used(c *Case, name string) bool {
	if slices.Contains(word.FindAllString(c.Call, -1), name) && strings.Contains(c.Call, "$"+name) {
		return true
	}
	return slices.ContainsFunc(c.Given, func(v Value) bool { return strings.Contains(v.Text, "$"+name) && used(c, v.Name) })
}

// object is memory for what a pointer points to.
func (d *Drafter) object(e *Entry, ctype string) string {
	name := kernelfacts.Target(ctype)
	if d.known[name] != nil || slices.ContainsFunc(e.Structs, func(s Struct) bool { return s.Name == name }) {
		return name + "{}"
	}
	if s, ok := d.structs[name]; ok && s.Size > 0 {
		return fmt.Sprintf("zeros(%d)", s.Size)
	}
	return "zeros(256)"
}

// firstName is a value of an argument: a name of one that selects, or that says what is wanted, and 0 of other bits.
func (d *Drafter) firstName(e *Entry, i int) string {
	if e.roles[i] != choice && e.Args[i].Name != "mask" {
		return "0"
	}
	for _, p := range e.Exit {
		if p.arg == i && p.Names != "" && d.sets[p.Names] != nil {
			for _, v := range d.sets[p.Names].Values {
				if v.HasNative {
					return v.Name
				}
			}
		}
	}
	return "0"
}

// wants are the values of the params after the first that do not follow from the call.
func (d *Drafter) wants(e *Entry, args []string, failed bool) []Value {
	var list []Value
	for _, p := range e.Exit[1:] {
		if p.When == "" && p.Len == "" && p.arg >= 0 && p.role != object && d.follows(e, p, args[p.arg]) {
			continue
		}
		t := d.table.Types.Type(p.Type)
		value := "0"
		switch {
		case p.From == "empty" || strings.Contains(p.When, "ret") && (failed || !strings.Contains(p.When, "ret: 0")):
			value = "empty"
		case strings.Contains(p.When, "readable") && failed && p.arg >= 0 && args[p.arg] == "$bad":
			value = "empty"
		case p.Type == "bytebuf" && p.arg >= 0 && strings.HasPrefix(args[p.arg], "$b") && args[p.arg] != "$bad" && p.role == data:
			value = args[p.arg]
		case p.Type == "numbers" || t != nil && (t.As == "bytes" || t.As == "text" || t.As == "other"):
			value = "empty"
		}
		list = append(list, Value{p.Name, value})
	}
	return list
}

// follows reports whether the value of a param follows from the call: it is the argument, or one conversion of it.
func (d *Drafter) follows(e *Entry, p Param, arg string) bool {
	name := e.Args[p.arg].Name
	if p.From == name || p.From == "at_fdcwd("+name+")" {
		return true
	}
	set := d.sets[p.Names]
	if p.From != p.Names+"("+name+")" {
		return false
	}
	return set == nil || set.Kind == "identity" || arg == "0" && (set.Kind == "bits" || set.Kind == "mask") || slices.ContainsFunc(set.Values, func(v tables.FlagValue) bool { return v.Name == arg })
}
