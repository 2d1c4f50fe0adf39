// SPDX-License-Identifier: Apache-2.0

package kernelfacts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Diff is what changed between two kernels.
type Diff struct {
	From string `json:"from"`
	To   string `json:"to"`

	Syscalls    []Change `json:"syscalls,omitempty"`
	Structs     []Change `json:"structs,omitempty"` // of arguments; not known unless they are known of both
	Reads       []Change `json:"reads,omitempty"`
	Tracepoints []Change `json:"tracepoints,omitempty"`
	Helpers     []Change `json:"helpers,omitempty"`
	Kfuncs      []Change `json:"kfuncs,omitempty"`
	Config      []Change `json:"config,omitempty"` // not known unless it is known of both
	Moved       int      `json:"moved"`            // fields that only have another place
}

// Change is something that came, went or is another. Before or After is "" if it is not there.
type Change struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`

	Source   []string `json:"source,omitempty"`   // file:line of programs that read it
	Programs []string `json:"programs,omitempty"` // these programs
	Entries  []string `json:"entries,omitempty"`  // of the table, that it is about
}

// Compare returns what changed from a to b.
func Compare(a, b *Facts) Diff {
	d := Diff{From: a.title(), To: b.title()}
	unknown := map[string]bool{} // calls whose arguments are not known of both
	for _, f := range []*Facts{a, b} {
		for _, s := range f.Syscalls {
			unknown[s.Name] = unknown[s.Name] || s.Args == nil
		}
	}
	calls := func(f *Facts) map[string]string {
		m := map[string]string{}
		for _, s := range f.Syscalls {
			var args []string
			for _, x := range s.Args {
				args = append(args, x.Type+" "+x.Name)
			}
			m[s.Name] = s.Name + "(" + strings.Join(args, ", ") + ")"
			if unknown[s.Name] {
				m[s.Name] = s.Name
			}
		}
		return m
	}
	d.Syscalls = changes(calls(a), calls(b))
	if len(a.Structs) > 0 && len(b.Structs) > 0 {
		structs := func(f *Facts) map[string]string {
			m := map[string]string{}
			for _, s := range f.Structs {
				m[s.Name] = s.String()
			}
			return m
		}
		d.Structs = changes(structs(a), structs(b))
	}
	d.Tracepoints = changes(set(a.Tracepoints), set(b.Tracepoints))
	d.Helpers = changes(set(a.Helpers), set(b.Helpers))
	d.Kfuncs = changes(set(a.Kfuncs), set(b.Kfuncs))
	if a.NoConfig == "" && b.NoConfig == "" {
		options := func(f *Facts) map[string]string {
			m := map[string]string{}
			for name, value := range f.Config {
				m[name] = name + "=" + value
			}
			return m
		}
		d.Config = changes(options(a), options(b))
	}
	fields := func(f *Facts) (text map[string]string, by map[string]Read) {
		text, by = map[string]string{}, map[string]Read{}
		for _, r := range f.Reads {
			by[r.What] = r
			if r.There {
				text[r.What] = r.What
				if r.Type != "" {
					text[r.What] = fmt.Sprintf("%s: %s, %d bits", r.What, r.Type, r.Size)
				}
			}
		}
		return text, by
	}
	before, byBefore := fields(a)
	after, byAfter := fields(b)
	d.Reads = changes(before, after)
	for i := range d.Reads {
		r := byAfter[d.Reads[i].Name]
		d.Reads[i].Source, d.Reads[i].Programs = r.Source, r.Used
	}
	for name, r := range byBefore {
		if other := byAfter[name]; r.There && other.There && before[name] == after[name] && r.Offset != other.Offset {
			d.Moved++
		}
	}
	return d
}

func (f *Facts) title() string {
	if f.Release == "" {
		return f.Kernel
	}
	return f.Kernel + " (" + f.Release + ")"
}

func set(names []string) map[string]string {
	m := map[string]string{}
	for _, name := range names {
		m[name] = name
	}
	return m
}

// changes compares texts by name, and returns the differences by name.
func changes(before, after map[string]string) (list []Change) {
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] != after[name] {
			list = append(list, Change{Name: name, Before: before[name], After: after[name]})
		}
	}
	return list
}
