// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/internal/hint"
)

// LockFile is the name of the lock.
const LockFile = "schema.lock"

// Lock is schema.lock: the facts that captures and consumers rely on. It has the
// reference's events, and our own once they are locked. Lines are only added.
type Lock struct {
	Own      string    // version of the whole schema, with our own events; "": the lock is from before it had one
	Versions []Version // of the reference: the version of the events here, then older ones

	file   string
	types  map[string]lockLine // by name
	dyns   map[string]lockLine
	events map[uint16]*Event       // layouts: name, symbol, class, source, flags, params; Pos is in the lock
	values map[string][]lockedName // by flag set
	ids    map[uint16]lockedName
}

// Version is a version of the reference: of its driver interface and of its events. The kernel module speaks each of them.
type Version struct {
	API, Schema string
	Codes       uint16 // its event codes are below it; 0: the lock does not say
	IDs         uint16 // its syscall codes are below it

	pos expr.Pos
}

// lockLine is a name with the words after it.
type lockLine struct {
	pos  expr.Pos
	text string
}

type lockedName struct {
	pos   expr.Pos
	name  string
	value uint64
}

const lockHead = `# The wire schema: what captures and their readers rely on. Lines are only added,
# by "scaplab schema lock". An entry of the table that disagrees with its line is an
# error; a code without an entry is only this layout.
#
#   own           version of the whole schema, with our own events (codes from 0x8000 on), of which
#                 the reference's version says nothing. "scaplab schema diff" tells which
#                 version a change demands: of it, and of the reference's where its part changes
#   version       driver interface (API) and schema of the reference, and where its event codes
#                 and its syscall codes end: those of the events here, then the others that
#                 the kernel module can speak. To one with fewer event codes it does not
#                 send the params that the table marks as newer
#   type          a wire type, and its bytes (- when they vary)
#   dyn           the types of a dyn param, by its first byte
#   event         code, symbol, name, class, source, flags (- when none), then the params:
#                 name:type, with (the flag set, dyn table or directory param) and /how
#                 it is printed where that is not the type's usual way. Codes of our own need
#                 only be unused, in any order and with gaps: entries that are written at
#                 the same time take theirs from different places, and none waits for another
#   value         a flag set of events, a name of it, and the number
#   id            a syscall code, as generic events carry it
`

// lockWord is one word of a line.
type lockWord struct {
	text string
	pos  expr.Pos
}

// parseLock reads the lock.
func (l *loader) parseLock(name string, src []byte) *Lock {
	lock := &Lock{file: name, types: map[string]lockLine{}, dyns: map[string]lockLine{}, events: map[uint16]*Event{},
		values: map[string][]lockedName{}, ids: map[uint16]lockedName{}}
	for i, text := range strings.Split(string(src), "\n") {
		words := lockWords(text, expr.Pos{File: name, Line: i + 1})
		if len(words) == 0 || strings.HasPrefix(words[0].text, "#") {
			continue
		}
		l.lockLine(lock, words)
	}
	return lock
}

// checkLayout reports where the text of the lock is not what this program writes. Locks of other revisions may differ
// from it in their comments.
func (l *loader) checkLayout(lock *Lock, src []byte) {
	if again := lock.text(); len(l.errs) == 0 && string(src) != again {
		l.errs.Add(firstDifference(lock.file, string(src), again), "", "line differs from what scaplab schema lock writes")
	}
}

func lockWords(text string, at expr.Pos) []lockWord {
	var out []lockWord
	col := 1
	for i := 0; i < len(text); {
		rest := text[i:]
		n := strings.IndexByte(rest, ' ')
		if n < 0 {
			n = len(rest)
		}
		if n > 0 {
			at.Col = col
			out = append(out, lockWord{rest[:n], at})
		}
		col += utf8.RuneCountInString(rest[:n]) + 1
		i += n + 1
	}
	return out
}

func firstDifference(name, a, b string) expr.Pos {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	line := 0
	for line < len(x) && line < len(y) && x[line] == y[line] {
		line++
	}
	return expr.Pos{File: name, Line: line + 1, Col: 1}
}

func (l *loader) lockLine(lock *Lock, w []lockWord) {
	least := map[string]int{"own": 2, "version": 3, "type": 3, "dyn": 3, "event": 7, "value": 4, "id": 3}[w[0].text]
	switch {
	case least == 0:
		l.errs.Add(w[0].pos, "", "unknown kind of line %s%s", w[0].text, hint.DidYouMean(w[0].text, []string{"own", "version", "type", "dyn", "event", "value", "id"}))
		return
	case len(w) < least:
		l.errs.Add(w[0].pos, "", "line %s has %d words (%d are expected)", w[0].text, len(w), least)
		return
	}
	number := func(w lockWord, bits int) uint64 {
		v, err := strconv.ParseUint(w.text, 0, bits)
		if err != nil {
			l.errs.Add(w.pos, "", "bad number %s", w.text)
		}
		return v
	}
	again := func(old expr.Pos) {
		l.errs.Add(w[1].pos, "", "%s %s is repeated (first on line %d)", w[0].text, w[1].text, old.Line)
	}
	version := func(w lockWord) string {
		if _, err := NextVersion(w.text, 0); err != nil {
			l.errs.Add(w.pos, "", "%s", err)
		}
		return w.text
	}
	switch w[0].text {
	case "own":
		if lock.Own != "" {
			l.errs.Add(w[0].pos, "", "own is repeated")
		}
		lock.Own = version(w[1])
	case "version":
		v := Version{API: version(w[1]), Schema: version(w[2]), pos: w[1].pos}
		if len(w) > 3 {
			if len(w) < 5 {
				l.errs.Add(w[0].pos, "", "line version has %d words (5 are expected)", len(w))
				return
			}
			v.Codes, v.IDs = uint16(number(w[3], 16)), uint16(number(w[4], 16))
		}
		if slices.ContainsFunc(lock.Versions, func(o Version) bool { return o.API == v.API }) {
			l.errs.Add(w[1].pos, "", "version %s is repeated", w[1].text)
		}
		lock.Versions = append(lock.Versions, v)
	case "type":
		if old, ok := lock.types[w[1].text]; ok {
			again(old.pos)
		}
		lock.types[w[1].text] = lockLine{w[1].pos, w[2].text}
	case "dyn":
		if old, ok := lock.dyns[w[1].text]; ok {
			again(old.pos)
		}
		lock.dyns[w[1].text] = lockLine{w[1].pos, joinWords(w[2:])}
	case "event":
		ev := l.lockedEvent(w, uint16(number(w[1], 16)))
		if old := lock.events[ev.Code]; old != nil {
			again(old.Pos)
		}
		lock.events[ev.Code] = ev
	case "value":
		set := w[1].text
		lock.values[set] = append(lock.values[set], lockedName{w[2].pos, w[2].text, number(w[3], 64)})
	case "id":
		code := uint16(number(w[1], 16))
		if old, ok := lock.ids[code]; ok {
			again(old.pos)
		}
		lock.ids[code] = lockedName{pos: w[1].pos, name: w[2].text}
	}
}

func joinWords(words []lockWord) string {
	var out []string
	for _, w := range words {
		out = append(out, w.text)
	}
	return strings.Join(out, " ")
}

// lockedEvent reads the words of an event.
func (l *loader) lockedEvent(w []lockWord, code uint16) *Event {
	ev := &Event{Pos: w[1].pos, codePos: w[1].pos, Code: code, Symbol: w[2].text, Name: w[3].text, Class: w[4].text, Source: w[5].text,
		Dir: dirOf(code), FDParam: -1}
	if w[6].text != "-" {
		ev.Flags = strings.Split(w[6].text, ",")
	}
	for _, word := range w[7:] {
		name, rest, ok := strings.Cut(word.text, ":")
		if !ok {
			l.errs.Add(word.pos, ev.Name, "bad param %s (name:type is expected)", word.text)
			continue
		}
		p := &Param{Pos: word.pos, typePos: word.pos, Name: name, lock: word.text}
		rest, show, _ := strings.Cut(rest, "/")
		typ, ref, _ := strings.Cut(strings.TrimSuffix(rest, ")"), "(")
		t := l.typ(typ)
		if t == nil {
			l.errs.Add(word.pos, ev.Name, "unknown type %s%s", typ, hint.DidYouMean(typ, l.table.Types.names()))
			continue
		}
		p.Type, p.Show = typ, cmp.Or(show, t.Show)
		switch typ {
		case "dyn":
			p.Dyn = ref
		case "fsrelpath":
			p.Base = ref
		default:
			p.Names = ref
		}
		ev.Params = append(ev.Params, p)
	}
	ev.FDParam = fdParam(ev)
	return ev
}

// lockText returns a param as the lock writes it.
func (l *loader) lockText(p *Param) string { return p.Name + ":" + l.table.Types.lockType(p) }

func (t *Types) lockType(p *Param) string {
	s := p.Type
	if ref := cmp.Or(p.Dyn, p.Base, p.Names); ref != "" {
		s += "(" + ref + ")"
	}
	if typ := t.Type(p.Type); typ != nil && p.Show != typ.Show {
		s += "/" + p.Show
	}
	return s
}

func lockSize(t *Type) string {
	if t.Size == 0 {
		return "-"
	}
	return strconv.Itoa(t.Size)
}

func lockVariants(d *Dyn) string {
	var out []string
	for _, v := range d.Variants {
		text := v.Type.Name
		if v.Show != v.Type.Show {
			text += "/" + v.Show
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// text returns the text of the lock file.
func (k *Lock) text() string {
	var b strings.Builder
	b.WriteString(lockHead)
	if k.Own != "" {
		fmt.Fprintf(&b, "own %s\n", k.Own)
	}
	for _, v := range k.Versions {
		fmt.Fprintf(&b, "version %s %s", v.API, v.Schema)
		if v.Codes > 0 {
			fmt.Fprintf(&b, " %d %d", v.Codes, v.IDs)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	byLine := func(m map[string]lockLine) []string {
		return slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Compare(m[a].pos.Line, m[b].pos.Line) })
	}
	for _, name := range byLine(k.types) {
		fmt.Fprintf(&b, "type %s %s\n", name, k.types[name].text)
	}
	for _, name := range byLine(k.dyns) {
		fmt.Fprintf(&b, "dyn %s %s\n", name, k.dyns[name].text)
	}
	b.WriteByte('\n')
	for _, code := range slices.Sorted(maps.Keys(k.events)) {
		ev := k.events[code]
		fmt.Fprintf(&b, "event %s %s %s %s %s %s", CodeText(code), ev.Symbol, ev.Name, ev.Class, ev.Source, lockFlags(ev))
		for _, p := range ev.Params {
			b.WriteString(" " + p.lock)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	for _, set := range slices.Sorted(maps.Keys(k.values)) {
		for _, v := range k.values[set] {
			fmt.Fprintf(&b, "value %s %s %#x\n", set, v.name, v.value)
		}
	}
	b.WriteByte('\n')
	for _, code := range slices.Sorted(maps.Keys(k.ids)) {
		fmt.Fprintf(&b, "id %d %s\n", code, k.ids[code].name)
	}
	return b.String()
}
