// SPDX-License-Identifier: Apache-2.0

package guest

import (
	_ "embed"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
)

// caseText has the table's entries and their cases. A line is a key and its
// value. An entry begins with a line `syscall NAME`, a case with `case NAME`, or
// with `generated NAME` if it is made from the signature. The lines of a case are
// indented. Expressions are source text of internal/expr.
//
//go:embed cases_gen.txt
var caseText string

// suiteText has the truth suites in the same form. An entry begins with `suite NAME`.
//
//go:embed suites_gen.txt
var suiteText string

const (
	entryStart = "\nsyscall "
	suiteStart = "\nsuite "
)

var known = struct {
	sync.Mutex
	byName map[string]*Syscall
}{byName: make(map[string]*Syscall)}

// FindSyscall returns the entry of a syscall by its name.
func FindSyscall(name string) *Syscall {
	if s := FindEntry(name); s != nil && !s.Suite {
		return s
	}
	return nil
}

// FindEntry returns the entry of a syscall or of a suite by its name.
func FindEntry(name string) *Syscall {
	if s := entry(name, "", false); s != nil {
		return s
	}
	if s := entry(name, textOf(caseText, entryStart, name), false); s != nil {
		return s
	}
	return entry(name, textOf(suiteText, suiteStart, name), true)
}

// textOf returns the lines of an entry.
func textOf(all, start, name string) string {
	_, text, _ := strings.Cut(all, start+name+"\n")
	text, _, _ = strings.Cut(text, start)
	return text
}

// Syscalls returns the table's entries of syscalls.
func Syscalls() []*Syscall { return entries(caseText, entryStart, false) }

// Suites returns the table's truth suites.
func Suites() []*Syscall { return entries(suiteText, suiteStart, true) }

func entries(all, start string, suite bool) (list []*Syscall) {
	for _, text := range strings.Split(all, start)[1:] {
		name, text, _ := strings.Cut(text, "\n")
		list = append(list, entry(name, text, suite))
	}
	return list
}

// entry parses the text of a syscall or suite once. It returns nil if there is no text and it
// was not parsed before.
func entry(name, text string, suite bool) *Syscall {
	known.Lock()
	defer known.Unlock()
	s := known.byName[name]
	if s == nil && text != "" {
		s = mustParse(name, text)
		s.Suite = suite
		known.byName[name] = s
	}
	return s
}

func mustParse(name, text string) *Syscall {
	s := &Syscall{Name: name}
	number := 0
	for line := range strings.Lines(text) {
		number++
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			continue
		}
		if err := s.parse(line); err != nil {
			panic(fmt.Sprintf("cases_gen.txt: %s, line %d: %q: %v (scaplab gen writes it)", name, number, line, err))
		}
	}
	return s
}

var errUnknownKey = errors.New("unknown key")

// parse reads a line of an entry or of its last case.
func (s *Syscall) parse(line string) error {
	if text, ok := strings.CutPrefix(line, "\t"); ok {
		if len(s.Cases) == 0 {
			return errors.New("belongs to no case")
		}
		return s.Cases[len(s.Cases)-1].parse(text)
	}
	key, value, _ := strings.Cut(line, " ")
	var err error
	switch key {
	case "place":
		var n string
		s.File, n, _ = strings.Cut(value, ":")
		s.Line, err = strconv.Atoi(n)
	case "nr":
		for arch, text := range byArch(value) {
			n, e := strconv.Atoi(text)
			set(&s.NR, arch, n)
			err = errors.Join(err, e)
		}
	case "param":
		name, ctype, _ := strings.Cut(value, " ")
		s.Params = append(s.Params, Param{Type: ctype, Name: name})
	case "exit":
		s.Exit, err = parseCode(value)
	case "enter":
		s.Enter, err = parseCode(value)
	case "child":
		s.Child, err = parseCode(value)
	case "extra":
		var code uint16
		code, err = parseCode(value)
		s.Extra = append(s.Extra, code)
	case "socketcall":
		s.Socketcall, err = strconv.Atoi(value)
	case "fired":
		s.Fired, err = parseCode(value)
	case "fired_on":
		s.FiredOn = strings.Fields(value)
	case "since":
		for arch, version := range byArch(value) {
			set(&s.Since, arch, version)
		}
	case "until":
		s.Until = value
	case "grown":
		version, text, _ := strings.Cut(value, " ")
		n, e := strconv.Atoi(text)
		set(&s.Grown, version, n)
		err = e
	case "differs":
		s.differs.event = value
	case "param_differs":
		name, text, _ := strings.Cut(value, " ")
		set(&s.differs.params, name, text)
	case "string_lost":
		s.differs.strings = append(s.differs.strings, value)
	case "never_fails":
		s.NeverFails = value
	case "never_succeeds":
		s.NeverSucceeds = value
	case "case", "generated":
		s.Cases = append(s.Cases, Case{Name: value, Generated: key == "generated"})
	default:
		return errUnknownKey
	}
	return err
}

func (c *Case) parse(line string) error {
	key, value, _ := strings.Cut(line, " ")
	name, text, _ := strings.Cut(value, " ")
	var err error
	switch key {
	case "below":
		c.Below, err = strconv.Atoi(value)
	case "needs":
		c.Needs = strings.Fields(value)
	case "unsafe":
		c.Unsafe = true
	case "snaplen":
		c.Snaplen, err = strconv.Atoi(value)
	case "left_out":
		c.LeftOut, err = strconv.Atoi(value)
	case "since":
		c.Since = value
	case "until":
		c.Until = value
	case "given":
		c.Given = append(c.Given, Binding{name, text})
	case "call":
		c.Call = value
	case "after":
		c.After = append(c.After, Binding{name, text})
	case "want":
		c.Want = append(c.Want, Binding{name, text})
	case "child":
		c.Child = append(c.Child, Binding{name, text})
	case "lacking":
		c.Lacking = value
	case "no_event":
		c.NoEvent = value
	case "no_enter":
		c.NoEnter = value
	case "arch":
		c.Arch = value
	case "act":
		c.Act = value
	case "select":
		c.Select = strings.Fields(value)
	case "shows", "never":
		item := Shown{Never: key == "never", By: text}
		item.Code, err = parseCode(name)
		c.Items = append(c.Items, item)
	case "with", "missed":
		if len(c.Items) == 0 {
			return errors.New("belongs to no event")
		}
		item := &c.Items[len(c.Items)-1]
		if key == "with" {
			item.With = append(item.With, Binding{name, text})
		} else {
			set(&item.Missed, Driver(name), text)
		}
	default:
		return errUnknownKey
	}
	return err
}

// byArch parses values by architecture: amd64=1 arm64=2.
func byArch(value string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for word := range strings.FieldsSeq(value) {
			arch, text, _ := strings.Cut(word, "=")
			if !yield(arch, text) {
				return
			}
		}
	}
}

func parseCode(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 0, 16)
	return uint16(n), err
}

func set[K comparable, V any](m *map[K]V, key K, v V) {
	if *m == nil {
		*m = make(map[K]V)
	}
	(*m)[key] = v
}
