// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"slices"
	"strings"

	"github.com/scaplab/scaplab/tables"
)

// lockedEvent is the layout that the lock has of a call's event. The events of calls that came to have 64 bits have the old names.
func (d *Drafter) lockedEvent(call string) (exit, enter *tables.Event) {
	if exit, enter = d.table.Lock.EventOf(call); exit != nil {
		return exit, enter
	}
	plain, ok := strings.CutSuffix(call, "64")
	if _, other := d.calls[plain]; !ok || other {
		return nil, nil
	}
	return d.table.Lock.EventOf(plain)
}

// locked gives a draft the layout of its event.
func (d *Drafter) locked(e *Entry, exit, enter *tables.Event) {
	e.Code, e.Class = exit.Code, exit.Class
	if exit.Name != e.Call {
		e.Name = exit.Name
	}
	e.Todo = slices.DeleteFunc(e.Todo, func(t string) bool { return strings.HasPrefix(t, "class") })
	e.Exit = d.fit(e, exit, e.Exit)
	if enter == nil {
		return
	}
	e.Enter = d.fit(e, enter, e.Exit)
	for i := range e.Enter {
		if strings.Contains(e.Enter[i].When, "ret") {
			e.Enter[i].When = "" // it is not known yet
		}
	}
}

// fit gives the params the layout of an event of the reference.
func (d *Drafter) fit(e *Entry, ref *tables.Event, have []Param) []Param {
	used := map[int]bool{}
	var list []Param
	for i, r := range ref.Params {
		p := Param{Name: r.Name, Type: r.Type, Names: r.Names, Base: r.Base, Dyn: r.Dyn, Show: d.shown(r), arg: -1}
		result := i == 0 && ref.Dir == "exit"
		same := namesake(r, have)
		if at := same; !result && at >= 0 && have[at].arg >= 0 && have[at].role != object { // a conversion of the call's own
			name := e.Args[have[at].arg].Name
			for _, set := range []string{e.Call + "_" + name, stem(e.Call) + "_" + name} {
				if s := d.sets[set]; s != nil && s.Kind != "" && r.Names != set && kind(r.Type) == "number" {
					p.From, p.arg, p.role = set+"("+name+")", have[at].arg, have[at].role
				}
			}
			if p.From != "" {
				used[at] = true
				list = append(list, p)
				continue
			}
		}
		if like := d.likeParam(e, r, ref.Dir); like != nil && !result && (like.arg >= 0 || same < 0) {
			for at, h := range have {
				used[at] = used[at] || like.arg >= 0 && h.arg == like.arg
			}
			list = append(list, *like)
			continue
		}
		at := d.source(r, result, have, used)
		if at < 0 {
			p.From, p.Todo = "empty", "no argument fits: where does it come from?"
			list = append(list, p)
			continue
		}
		if used[at] = true; at != same && !result {
			p.Todo = "nothing has its name: is it that?"
		}
		h := have[at]
		p.From, p.When, p.Len, p.Snaplen, p.arg, p.role = h.From, h.When, h.Len, h.Snaplen, h.arg, h.role
		isBytes := p.Type == "bytebuf" || p.Type == "sockaddr"
		if !isBytes {
			p.Len, p.Snaplen = "", false
		}
		plain := h.From
		if h.arg >= 0 && h.role != object && h.role != out && h.role != in && h.role != dirfd {
			plain = e.Args[h.arg].Name
		}
		set := d.sets[p.Names]
		switch {
		case set != nil && set.Kind != "" && h.role != object, set != nil && set.Kind != "" && !strings.Contains(plain, p.Names):
			p.From = p.Names + "(" + plain + ")"
		case p.Names == "" && h.Names != "":
			p.From = plain
		}
		list = append(list, p)
	}
	return list
}

// source finds the draft that a param of the reference is about: that of its name, or else the next of its type.
func (d *Drafter) source(r *tables.Param, first bool, have []Param, used map[int]bool) int {
	if first && len(have) > 0 && have[0].From == "ret" {
		return 0
	}
	fits := func(h Param) bool {
		return kind(r.Type) == kind(h.Type) && !(kind(r.Type) == "number" && r.Names == "" && h.Names != "")
	}
	if at := namesake(r, have); at >= 0 && !used[at] {
		return at
	}
	for at, h := range have {
		if at > 0 && !used[at] && fits(h) && kind(r.Type) != "number" {
			return at
		}
	}
	for at, h := range have { // a number, but with names only one with names
		if at > 0 && !used[at] && fits(h) && (r.Names != "") == (h.Names != "") && !pointers[h.role] {
			return at
		}
	}
	for at, h := range have {
		if at > 0 && !used[at] && kind(r.Type) == "number" && (kind(h.Type) == "number" || kind(h.Type) == "fd") && !pointers[h.role] {
			return at
		}
	}
	return -1
}

// likeParam drafts a param of a locked event as the most alike entry has it whose event has one of the same name and type,
// if all arguments that this takes are here as well.
func (d *Drafter) likeParam(e *Entry, r *tables.Param, dir string) *Param {
	own := map[string]string{}
	for _, a := range e.Args {
		own[a.Name] = pointed(a.Type)
	}
	var best *Param
	most := -1
	for _, s := range d.table.Syscalls {
		if s.Name == e.Call || s.Exit.Code >= firstOwn && s.Class != e.Class {
			continue
		}
		ev := s.Exit
		if dir == "enter" {
			ev = s.Enter
		}
		if ev == nil {
			continue
		}
	params:
		for _, p := range ev.Params {
			if p.Name != r.Name || p.Type != r.Type || p.Names != r.Names || p.From == nil || p.Switch != nil || written(p) == "empty" || written(p) == "ret" {
				continue
			}
			texts := []string{written(p)}
			if p.Len != nil {
				texts = append(texts, p.Len.String())
			}
			for _, c := range p.When {
				texts = append(texts, c.Var)
			}
			for _, text := range texts {
				for _, w := range word.FindAllString(fieldsOut(text), -1) {
					if slices.ContainsFunc(s.Params, func(a tables.CParam) bool {
						return a.Name == w && (own[w] == "" || own[w] != pointed(a.Type) && strings.Contains(own[w]+pointed(a.Type), "*"))
					}) {
						continue params
					}
				}
			}
			n := alike(e.Call, s.Name)
			for _, a := range s.Params { // calls with the same arguments are alike, too
				if slices.Contains(e.Args, a) {
					n += 60
				}
			}
			if n > most {
				most = n
				best = &Param{Name: r.Name, Type: r.Type, From: written(p), Names: r.Names, Show: d.shown(r), Base: r.Base, Dyn: r.Dyn, When: when(p), Snaplen: p.Snaplen, arg: -1, role: object}
				if p.Len != nil {
					best.Len = p.Len.String()
				}
				for i, a := range s.Params { // a struct that is read here is written there, or the other way round
					j := slices.IndexFunc(e.Args, func(b tables.CParam) bool { return b.Name == a.Name })
					if j < 0 || !strings.HasSuffix(a.Type, "*") || !strings.Contains(best.From, a.Name+"->") {
						continue
					}
					switch in, wasIn := reads(e, j), readsOf(s.Name, s.Params, i); {
					case in && !wasIn && best.When == "{ret: 0}":
						best.When = ""
					case !in && wasIn && best.When == "":
						best.When = "{ret: 0}"
					}
				}
				for i, a := range e.Args {
					if slices.Contains(word.FindAllString(best.From, -1), a.Name) && (best.arg < 0 || a.Name == r.Name) {
						best.arg, best.role = i, e.roles[i]
					}
				}
			}
		}
	}
	return best
}

var pointers = map[role]bool{in: true, out: true, pointer: true}

// namesake finds the draft that has a param's name, or a name that has the other; -1: there is none.
func namesake(r *tables.Param, have []Param) int {
	for at, h := range have {
		if h.From != "ret" && h.Name == r.Name && (kind(r.Type) == kind(h.Type) || numeric(r.Type) && numeric(h.Type)) {
			return at
		}
	}
	bare := func(name string) string { return strings.ReplaceAll(name, "_", "") }
	for at, h := range have {
		a, b := bare(h.Name), bare(r.Name)
		if h.From != "ret" && kind(r.Type) == kind(h.Type) && min(len(a), len(b)) > 2 && (strings.Contains(a, b) || strings.Contains(b, a)) {
			return at
		}
	}
	return -1
}

func numeric(t string) bool {
	return slices.Contains([]string{"number", "fd", "pid", "sigtype"}, kind(t))
}

// kind tells types apart that are sent otherwise.
func kind(t string) string {
	switch t {
	case "charbuf", "fspath", "fsrelpath":
		return "text"
	case "bytebuf", "sockaddr", "socktuple", "dyn", "fdlist", "fd", "pid", "numbers", "sigtype", "reltime", "abstime", "sigset":
		return t
	}
	return "number"
}
