// SPDX-License-Identifier: Apache-2.0

package tabledraft

import (
	"fmt"
	"slices"

	"github.com/scaplab/scaplab/internal/kernelfacts"
	"github.com/scaplab/scaplab/tables"
)

// Changes is what the change from one kernel to another means for a table.
type Changes struct {
	From    string    `json:"from"`
	To      string    `json:"to"`
	Entries []Touched `json:"entries"`           // in order of the table
	Gone    []string  `json:"gone,omitempty"`    // calls that went and have no entry
	Lacking []string  `json:"lacking,omitempty"` // calls of the second kernel that the table lacks: what Draft would do next
	Others  []string  `json:"others,omitempty"`  // as Lacking, but programs of 64 bits cannot make them there
}

// Touched is an entry that a change is about.
type Touched struct {
	Call    string               `json:"call"`
	At      string               `json:"at"`               // file:line:column
	Before  string               `json:"before,omitempty"` // its prototype; "": the first kernel does not have it
	After   string               `json:"after,omitempty"`  // "": the second does not have it
	Structs []kernelfacts.Change `json:"structs,omitempty"`
	Notes   []string             `json:"notes,omitempty"` // what the entry says that is not so in the second kernel
}

// Diff tells which entries of a table the change from kernel a to kernel b touches.
func Diff(t *tables.Table, a, b *kernelfacts.Facts) *Changes {
	d := kernelfacts.Compare(a, b)
	drafter := New(t, b)
	out := &Changes{From: d.From, To: d.To, Entries: []Touched{}}
	changed := map[string]kernelfacts.Change{}
	for _, c := range d.Syscalls {
		changed[c.Name] = c
	}
	structs := map[string]kernelfacts.Change{}
	for _, c := range d.Structs {
		if c.Before != "" && c.After != "" {
			structs[c.Name] = c
		}
	}
	have := map[string]bool{}
	for _, s := range t.Syscalls {
		symbol := drafter.symbol(s.Name)
		have[symbol] = true
		e := Touched{Call: s.Name, At: s.Pos.String()}
		c, ok := changed[symbol]
		if ok {
			e.Before, e.After = c.Before, c.After
		}
		call, there := drafter.calls[symbol]
		for _, arg := range call.Args {
			if change, ok := structs[kernelfacts.Target(arg.Type)]; ok {
				e.Structs = append(e.Structs, change)
				if known := drafter.known[drafter.structName(s.Name, change.Name)]; known != nil {
					e.Notes = append(e.Notes, fmt.Sprintf("structs.yaml has %s (%s)", known.Name, known.Pos))
				}
			}
		}
		if there && ok && len(call.Args) != len(s.Params) && call.Args != nil && !grown(s, len(call.Args)) {
			e.Notes = append(e.Notes, fmt.Sprintf("the signature of the entry has %d arguments, the call %d (grown: says since when)", len(s.Params), len(call.Args)))
		}
		if ok || len(e.Structs) > 0 {
			out.Entries = append(out.Entries, e)
		}
	}
	for _, c := range d.Syscalls {
		if c.After == "" && !have[c.Name] && !variants.MatchString(c.Name) {
			out.Gone = append(out.Gone, c.Name)
		}
	}
	out.Lacking, out.Others = drafter.Lacking()
	return out
}

// grown reports whether an entry says that its call has that many arguments on some kernel.
func grown(s *tables.Syscall, n int) bool {
	return slices.ContainsFunc(sortedKeys(s.Grown), func(since string) bool { return s.Grown[since] == n })
}
