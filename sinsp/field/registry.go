// SPDX-License-Identifier: Apache-2.0

package field

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/scaplab/scaplab/internal/hint"
	"github.com/scaplab/scaplab/scap/event"
)

// Class is a group of fields about one subject.
type Class struct {
	Name   string // the part of the names before the first dot
	Desc   string
	Fields []Field
}

// Classes returns all classes, in the order of lists. The caller must not change them.
func Classes() []*Class { return classes }

// All returns all fields by their names. The caller must not change it.
var All = sync.OnceValue(func() map[string]*Field {
	all := map[string]*Field{}
	for _, c := range classes {
		for i := range c.Fields {
			f := &c.Fields[i]
			if all[f.Name] != nil {
				panic("two fields are named " + f.Name)
			}
			all[f.Name] = f
		}
	}
	return all
})

// Error is what is wrong with a reference to a field.
type Error struct {
	Offset int // in the text
	Msg    string
}

func (e *Error) Error() string { return e.Msg }

// Parse reads a field with its argument at the start of text, as far as it goes, and
// returns it with the number of bytes that it takes:
//
//	proc.name    proc.aname[2]    proc.env[HOME]    evt.arg.flags    evt.arg[0]
//
// A key may be in single or double quotes. A dot that no letter follows is not part of
// a name. An error is an [*Error].
func Parse(text string) (ref Ref, n int, err error) {
	name := scanName(text)
	f, rest := longest(text[:name])
	if f == nil {
		return Ref{}, name, &Error{0, unknownField(text[:name])}
	}
	ref = Ref{Field: f, Type: f.Type, Many: f.Many}
	n = len(f.Name)
	switch {
	case rest != "" && f.Arg&(ArgWord|ArgParam|ArgEvent) != 0:
		word, _, _ := strings.Cut(rest, ".")
		n += 1 + len(word)
		err = ref.setWord(word, len(f.Name)+1)
	case rest != "":
		// The text may go on after the name: "%proc.name.gz".
	case strings.HasPrefix(text[n:], "[") && f.Arg&(ArgIndex|ArgKey) != 0:
		var arg string
		var quoted bool
		var size int
		if arg, quoted, size, err = scanBrackets(text[n:], n); err == nil {
			err = ref.setBrackets(arg, quoted, n+1)
		}
		n += size
	}
	if err == nil && ref.Arg.Form == 0 && f.Arg != 0 && f.Arg&ArgOptional == 0 {
		err = &Error{n, fmt.Sprintf("field %s needs an argument (%s)", f.Name, f.Syntax())}
	}
	if err == nil && ref.Type == Dynamic {
		ref.Type = ref.Arg.Type
	}
	if ref.Many == Any && ref.Arg.Form != 0 {
		ref.Many = One
	}
	ref.Text = text[:n]
	return ref, n, err
}

// Syntax returns how a filter writes the field, with its argument: "proc.aname or
// proc.aname[N]".
func (f *Field) Syntax() string {
	var forms []string
	if f.Arg == 0 || f.Arg&ArgOptional != 0 {
		forms = append(forms, f.Name)
	}
	for _, form := range []struct {
		form ArgForm
		text string
	}{
		{ArgIndex, "[N]"}, {ArgKey, "[NAME]"}, {ArgParam, ".PARAM"}, {ArgEvent, ".EVENT"},
	} {
		if f.Arg&form.form != 0 {
			forms = append(forms, f.Name+form.text)
		}
	}
	if f.Arg&ArgWord != 0 {
		if f.Words == nil {
			forms = append(forms, f.Name+".NAME")
		}
		for _, w := range f.Words {
			forms = append(forms, f.Name+"."+w)
		}
	}
	return strings.Join(forms, " or ")
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isWord(c byte) bool { return isLetter(c) || c == '_' || c >= '0' && c <= '9' }

// scanName returns the length of the dotted name at the start of text.
func scanName(text string) int {
	i := 0
	for i < len(text) && (isWord(text[i]) || text[i] == '.' && i > 0 && i+1 < len(text) && isWord(text[i+1])) {
		i++
	}
	return i
}

// longest returns the field with the longest name that name is or begins with,
// followed by a dot, and the rest after that dot.
func longest(name string) (f *Field, rest string) {
	for head := name; ; {
		if f := All()[head]; f != nil {
			return f, strings.TrimPrefix(name[len(head):], ".")
		}
		i := strings.LastIndexByte(head, '.')
		if i < 0 {
			return nil, ""
		}
		head = head[:i]
	}
}

func unknownField(name string) string {
	if name == "" {
		return "the name of a field is missing (such as proc.name)"
	}
	return fmt.Sprintf("unknown field %s%s", name, hint.DidYouMean(name, slices.Sorted(maps.Keys(All()))))
}

// scanBrackets reads [arg] or ["arg"] at the start of text, which is at offset at.
func scanBrackets(text string, at int) (arg string, quoted bool, size int, err error) {
	body := text[1:]
	if body != "" && (body[0] == '"' || body[0] == '\'') {
		i := strings.IndexByte(body[1:], body[0])
		if i < 0 {
			return "", true, len(text), &Error{at + 1, "the quote is not closed"}
		}
		if !strings.HasPrefix(body[i+2:], "]") {
			return "", true, i + 3, &Error{at + i + 3, "missing ] after the argument"}
		}
		return body[1 : i+1], true, i + 4, nil
	}
	i := strings.IndexAny(body, " \t\r\n[]\"'")
	switch {
	case i < 0:
		return "", false, len(text), &Error{at, "the bracket is not closed"}
	case body[i] != ']':
		return "", false, i + 1, &Error{at + 1 + i, fmt.Sprintf("%q in an argument (quote it, or close the bracket before it)", body[i])}
	case i == 0:
		return "", false, 2, &Error{at + 1, "the argument is empty"}
	}
	return body[:i], false, i + 2, nil
}

// setBrackets sets the argument [arg], which is at offset at.
func (r *Ref) setBrackets(arg string, quoted bool, at int) error {
	n, err := strconv.ParseUint(arg, 10, 64)
	switch {
	case err == nil && !quoted && r.Field.Arg&ArgIndex != 0:
		r.Arg = Arg{Form: ArgIndex, Text: arg, Index: n}
	case r.Field.Arg&ArgKey != 0:
		r.Arg = Arg{Form: ArgKey, Text: arg}
	default:
		return &Error{at, fmt.Sprintf("%q is not an index of %s (%s)", arg, r.Name, r.Syntax())}
	}
	return nil
}

// setWord sets the argument .word, which is at offset at.
func (r *Ref) setWord(word string, at int) error {
	switch {
	case r.Field.Arg&ArgParam != 0:
		p, ok := params()[word]
		if !ok {
			return &Error{at, fmt.Sprintf("no event has a param %s%s", word, hint.DidYouMean(word, slices.Sorted(maps.Keys(params()))))}
		}
		r.Arg = Arg{Form: ArgParam, Text: word, Type: p.typ, params: p.index}
	case r.Field.Arg&ArgEvent != 0:
		code, ok := eventCode(word)
		if !ok {
			return &Error{at, fmt.Sprintf("unknown event %s%s", word, hint.DidYouMean(word, EventNames()))}
		}
		r.Arg = Arg{Form: ArgEvent, Text: word, Event: code}
	default:
		if r.Words != nil && !slices.Contains(r.Words, word) {
			return &Error{at, fmt.Sprintf("unknown argument %s of %s (%s)", word, r.Name, r.Syntax())}
		}
		r.Arg = Arg{Form: ArgWord, Text: word}
	}
	return nil
}

// eventCode returns the first code with that name; the code itself if word is one.
func eventCode(word string) (event.Type, bool) {
	if n, err := strconv.ParseUint(word, 10, 16); err == nil {
		return event.Type(n), event.Lookup(event.Type(n)) != nil
	}
	for in := range event.All() {
		if in.Name == word && in.Flags&event.Unused == 0 {
			return in.Code, true
		}
	}
	return 0, false
}

// EventNames returns the names of all events, sorted.
var EventNames = sync.OnceValue(func() []string {
	var names []string
	for in := range event.All() {
		if in.Flags&event.Unused == 0 {
			names = append(names, in.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
})

// param is where events have a param of one name.
type param struct {
	typ   Type // in the first event that has it
	index *[2][]int8
}

// params returns the params of all events by name.
var params = sync.OnceValue(func() map[string]param {
	all := map[string]param{}
	for in := range event.All() {
		for i := range in.Params {
			p, ok := all[in.Params[i].Name]
			if !ok {
				p = param{TypeOf(in.Params[i].Type), &[2][]int8{}}
				all[in.Params[i].Name] = p
			}
			run, at := &p.index[0], int(in.Code)
			if in.Code >= event.FirstOwn {
				run, at = &p.index[1], int(in.Code-event.FirstOwn)
			}
			for len(*run) <= at {
				*run = append(*run, -1)
			}
			if (*run)[at] < 0 {
				(*run)[at] = int8(i)
			}
		}
	}
	return all
})
