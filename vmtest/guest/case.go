// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/scaplab/scaplab/internal/kver"
)

// Syscall is an entry of the table, as far as the guest and the host need it to
// prove it. A truth suite is an entry as well: of no call, and its scenarios are cases.
type Syscall struct {
	Name   string
	Suite  bool           // a truth suite
	File   string         // the table's file
	Line   int            // in File
	NR     map[string]int // by GOARCH; without an element if the arch lacks the call
	Params []Param        // of the C signature
	Exit   uint16         // event codes; 0: no event
	Enter  uint16
	Child  uint16   // clone family: code of the child's own event, see ChildCode
	Extra  []uint16 // codes of other events that the call may make, e.g. a successful execveat makes that of execve

	Socketcall int // amd64: number of the sub-call of socketcall with which 32-bit tasks make the call; 0: they have a number for it, or no such call

	// Fired is the code of the event that another tracepoint makes for the call's child, on the
	// architectures FiredOn, instead of Child.
	Fired   uint16
	FiredOn []string

	Since map[string]string // by GOARCH: first kernel that has the call; "" if all have it
	Until string            // first kernel that does not have it any more

	differs differences

	Grown map[string]int // number of arguments by the first kernel that has more than Params

	NeverFails    string // why no case can fail or succeed
	NeverSucceeds string

	Cases []Case
}

// Args returns the number of the call's arguments on a kernel.
func (s *Syscall) Args(kernel kver.Version) int {
	n := len(s.Params)
	for version, grown := range s.Grown {
		if !kernel.Less(kver.MustParse(version)) {
			n = max(n, grown)
		}
	}
	return n
}

// ChildCode returns the code of the child's own event on an architecture. It is the event of the
// call where a new thread passes sys_exit; elsewhere a tracepoint makes it, which does not
// know the call.
func (s *Syscall) ChildCode(arch string) uint16 {
	if s.Child != 0 && slices.Contains(s.FiredOn, arch) {
		return s.Fired
	}
	return s.Child
}

// differences are those from the reference that the table lists, in words.
type differences struct {
	event   string            // of the event as a whole
	params  map[string]string // by the name of a param of the exit event
	strings []string          // params that the reference's module loses, see StringLost
}

// StringLost is the difference of strings in the caller's memory.
const StringLost = "a string that ends less than 4 bytes before an unmapped page is read, the reference's module sends none"

// Differs returns the table's text about a difference from the reference: of a param, which is empty in
// the event or not, or of the whole event if param is "". It returns "" if the table lists none.
func (s *Syscall) Differs(param string, empty bool) string {
	if param == "" {
		return s.differs.event
	}
	if text := s.differs.params[param]; text != "" || !empty || !slices.Contains(s.differs.strings, param) {
		return text
	}
	return StringLost
}

// Param is one parameter of a C signature.
type Param struct {
	Type string
	Name string
}

// Case is a proof of a syscall entry. Expressions are source text of
// internal/expr.
type Case struct {
	Name         string // "works" if the table gives none
	Below        int    // lines from the entry to the case; 0: generated
	Needs        []string
	Unsafe       bool // never run by `scaplab host`
	Snaplen      int  // 0: the default, 80
	LeftOut      int  // messages of the call that get no event
	Since, Until string
	Given        []Binding
	Call         string
	After        []Binding
	Want         []Binding // every exit param, by name
	Child        []Binding // params of the child's own event
	NoEvent      string    // why there is no exit event; Want has the params of the enter event then
	NoEnter      string    // why there is no enter event
	Generated    bool      // generated from the signature
	Lacking      string    // why it does not run on kernels that have the call; "" if it does

	// Of a scenario, in place of Call, After and Want.
	Arch   string   // the only one that has its calls; "" if all do
	Act    string   // its value is $act
	Select []string // the calls that make its events
	Items  []Shown
}

// Shown is an event that a driver must show of a scenario, or must never show.
type Shown struct {
	Never  bool
	Code   uint16
	By     string            // thread
	With   []Binding         // some params
	Missed map[Driver]string // why a driver does not do so
}

// Binding names an expression.
type Binding struct {
	Name string
	Expr string
}

// mentioned returns the variables in a case's expressions, and their fields as NAME.FIELD.
func (c *Case) mentioned() map[string]bool {
	names := map[string]bool{}
	for _, b := range slices.Concat(c.Given, []Binding{{"", c.Call}, {"", c.Act}}, c.After, c.Want, c.Child, c.shown()) {
		for _, text := range strings.Split(b.Expr, "$")[1:] {
			name, rest, _ := cutWord(strings.TrimPrefix(text, "{"))
			names[name] = true
			if field, _, ok := cutWord(strings.TrimPrefix(rest, ".")); ok && rest[0] == '.' {
				names[name+"."+field] = true
			}
		}
	}
	return names
}

// shown returns the expressions of a scenario's events.
func (c *Case) shown() (list []Binding) {
	for _, item := range c.Items {
		list = append(append(list, Binding{"by", item.By}), item.With...)
	}
	return list
}

// cutWord cuts text behind the word that it begins with.
func cutWord(text string) (word, rest string, ok bool) {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:], end > 0
}

// ID returns the name of a case on command lines and in reports: "openat/creates-a-file".
func (s *Syscall) ID(c *Case) string {
	return s.Name + "/" + strings.ReplaceAll(c.Name, " ", "-")
}

// Place returns the FILE:LINE of a case in the table. If c is nil or generated it
// returns that of the entry.
func (s *Syscall) Place(c *Case) string {
	line := s.Line
	if c != nil {
		line += c.Below
	}
	return fmt.Sprintf("%s:%d", s.File, line)
}

// socketcallBase is added to the number of a sub-call of socketcall.
const socketcallBase = 1 << 16

// OnArch reports whether arch has the call. A suite is on all: its scenarios say what they need.
func (s *Syscall) OnArch(arch string) bool {
	_, ok := s.Number(arch)
	return ok || s.Suite
}

// Number returns the call's number on arch, and whether arch has the call.
func (s *Syscall) Number(arch string) (int, bool) {
	nr, ok := s.NR[arch]
	if !ok && s.Socketcall != 0 && arch == "amd64" {
		return socketcallBase + s.Socketcall, true
	}
	return nr, ok
}

// SyscallOf returns the name of the syscall, or of the suite, that a case, by its ID, is of.
func SyscallOf(id string) string {
	name, _, _ := strings.Cut(id, "/")
	return name
}

// Find returns a case by its ID.
func Find(id string) (*Syscall, *Case) {
	call, name, _ := strings.Cut(id, "/")
	if s := FindEntry(call); s != nil {
		for i := range s.Cases {
			if s.Cases[i].isNamed(name) {
				return s, &s.Cases[i]
			}
		}
	}
	return nil, nil
}

// isNamed reports whether name is the case's part of an ID, without making that.
func (c *Case) isNamed(name string) bool {
	if len(name) != len(c.Name) {
		return false
	}
	for i := range len(name) {
		if b := c.Name[i]; b != name[i] && (b != ' ' || name[i] != '-') {
			return false
		}
	}
	return true
}

// IDs returns the cases of the named syscalls and suites, or of all if none is named, that
// this architecture has, in the order of the table.
func IDs(names ...string) []string {
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	var ids []string
	for _, s := range slices.Concat(Syscalls(), Suites()) {
		if !s.OnArch(runtime.GOARCH) || len(want) > 0 && !want[s.Name] {
			continue
		}
		for j := range s.Cases {
			ids = append(ids, s.ID(&s.Cases[j]))
		}
	}
	return ids
}
