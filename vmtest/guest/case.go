// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Syscall is what the guest and the host must know of one entry of the table
// to prove it.
type Syscall struct {
	Name   string
	File   string         // of the table
	Line   int            // in File
	NR     map[string]int // by GOARCH; absent: the arch lacks the call
	Params []Param        // of the C signature
	Exit   uint16         // event codes; 0: none
	Enter  uint16
	Child  uint16   // clone family: code of the child's own event, see ChildCode
	Extra  []uint16 // other codes the call may make, e.g. execveat's success arrives as execve

	Socketcall int // how 32-bit tasks on amd64 make it, which has no number for it; 0: not at all

	// Fired is the code of the event that another tracepoint makes of the call's child on the
	// architectures FiredOn, in the place of Child.
	Fired   uint16
	FiredOn []string

	Since map[string]string // by GOARCH: first kernel that has the call; "" when always there
	Until string            // first kernel without it

	NeverFails    string // why no case can fail, or succeed
	NeverSucceeds string

	Cases []Case
}

// ChildCode is the code of the child's own event on an architecture. Where a new thread
// passes sys_exit it is the call's own event; elsewhere a tracepoint makes it, which does not
// know the call.
func (s *Syscall) ChildCode(arch string) uint16 {
	if s.Child != 0 && slices.Contains(s.FiredOn, arch) {
		return s.Fired
	}
	return s.Child
}

// Param is one parameter of a C signature.
type Param struct {
	Type string
	Name string
}

// Case is one proof of a syscall entry. Expressions are source text of
// internal/expr.
type Case struct {
	Name         string // "works" when the table gives none
	Below        int    // lines from the entry to the case; 0: not written in the table
	Needs        []string
	Unsafe       bool // never run by `scaplab host`
	Snaplen      int  // 0: the default, 80
	Since, Until string
	Given        []Binding
	Call         string
	After        []Binding
	Want         []Binding // every exit param by name
	Child        []Binding // params of the child's own event
	NoEvent      string    // why no exit event comes
	Generated    bool      // made by gen from the signature, not written in the table
}

// Binding names an expression.
type Binding struct {
	Name string
	Expr string
}

// ID names a case on command lines and in reports: "openat/creates-a-file".
func (s *Syscall) ID(c *Case) string {
	return s.Name + "/" + strings.ReplaceAll(c.Name, " ", "-")
}

// Place is where the table describes a case, FILE:LINE; the entry's own place when c is
// nil or generated.
func (s *Syscall) Place(c *Case) string {
	line := s.Line
	if c != nil {
		line += c.Below
	}
	return fmt.Sprintf("%s:%d", s.File, line)
}

// absentSuffix makes the pseudo case that tries a call this kernel should lack.
const absentSuffix = "/absent"

// AbsentID is the ID under which a call tried by RunRequest.Absent is reported.
func AbsentID(syscall string) string { return syscall + absentSuffix }

// socketcallBase is added to the number of a sub-call of socketcall.
const socketcallBase = 1 << 16

// Number is the call's number on arch, and whether the arch has the call.
func (s *Syscall) Number(arch string) (int, bool) {
	nr, ok := s.NR[arch]
	if !ok && s.Socketcall != 0 && arch == "amd64" {
		return socketcallBase + s.Socketcall, true
	}
	return nr, ok
}

// Find looks up a case by its ID.
func Find(id string) (*Syscall, *Case) {
	name, _, _ := strings.Cut(id, "/")
	if s := FindSyscall(name); s != nil {
		for i := range s.Cases {
			if s.ID(&s.Cases[i]) == id {
				return s, &s.Cases[i]
			}
		}
	}
	return nil, nil
}

// IDs lists the cases of the named syscalls (all when none is named) that
// this architecture has, in table order.
func IDs(names ...string) []string {
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	var ids []string
	for _, s := range Syscalls() {
		if _, ok := s.Number(runtime.GOARCH); !ok || len(want) > 0 && !want[s.Name] {
			continue
		}
		for j := range s.Cases {
			ids = append(ids, s.ID(&s.Cases[j]))
		}
	}
	return ids
}
