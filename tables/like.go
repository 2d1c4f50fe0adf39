// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"

	"github.com/scaplab/scaplab/internal/hint"
)

// ownKeys are the keys that an entry never inherits.
var ownKeys = []string{"syscall", "event", "name", "nr", "hot", "socketcall", "like"}

// like gives an entry with `like: NAME` the keys of that entry that it does not write
// itself. The other entry comes before it in the same file. It returns the name, ""
// if there is none.
func (l *loader) like(f *file, n *yaml.Node) (merged *yaml.Node, name string) {
	merged = n
	if n.Kind != yaml.MappingNode {
		return n, ""
	}
	written := map[string]bool{}
	var at *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		written[n.Content[i].Value] = true
		if n.Content[i].Value == "like" {
			at = n.Content[i+1]
		}
	}
	own := peek(n, "syscall")
	if at != nil && at.Kind == yaml.ScalarNode {
		other := l.raw[at.Value]
		if other == nil {
			l.errs.Add(f.Pos(at), own, "like names no entry before it in this file%s", hint.DidYouMean(at.Value, slices.Sorted(maps.Keys(l.raw))))
			return n, ""
		}
		name = at.Value
		copied := *n
		copied.Content = slices.Clone(n.Content)
		for i := 0; i+1 < len(other.Content); i += 2 {
			if key := other.Content[i]; !written[key.Value] && !slices.Contains(ownKeys, key.Value) {
				copied.Content = append(copied.Content, key, other.Content[i+1])
			}
		}
		merged = &copied
	}
	if own != "" && l.raw[own] == nil {
		l.raw[own] = merged
	}
	return merged, name
}

// inherited adds the line of `like` to errors in inherited keys, and removes errors
// that the other entry has as well. before is the number of errors before; n is the
// entry as written.
func (l *loader) inherited(before int, f *file, n *yaml.Node) {
	first, last := n.Line, lastLine(n)
	known := l.errs[:before:before]
	for _, e := range l.errs[before:] {
		if e.Pos.Line >= first && e.Pos.Line <= last {
			known = append(known, e)
			continue
		}
		if !slices.ContainsFunc(l.errs[:before], func(old *Error) bool { return old.Pos == e.Pos }) {
			e.Msg += fmt.Sprintf(" (inherited on line %d)", n.Line)
			known = append(known, e)
		}
	}
	l.errs = known
}

// lastLine returns the line where the last scalar inside a node starts.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}
