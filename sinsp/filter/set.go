// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/sinsp/field"
)

// stringSet is a set of strings. Most values differ from all elements in their length
// or are compared by hash.
type stringSet struct {
	elems   map[string]struct{}
	lengths [4]uint64 // bit n: an element has n bytes; lengths from 255 on share a bit
}

func newStringSet(elems []string) *stringSet {
	s := &stringSet{elems: make(map[string]struct{}, len(elems))}
	for _, e := range elems {
		s.elems[e] = struct{}{}
		n := min(len(e), 255)
		s.lengths[n/64] |= 1 << (n % 64)
	}
	return s
}

func (s *stringSet) has(v []byte) bool {
	n := min(len(v), 255)
	if s.lengths[n/64]>>(n%64)&1 == 0 {
		return false
	}
	_, ok := s.elems[string(v)]
	return ok
}

// match implements test.
func (s *stringSet) match(v *field.Value) bool { return s.has(v.Str) }

type numberSet map[uint64]struct{}

func (s numberSet) match(v *field.Value) bool {
	_, ok := s[v.Num]
	return ok
}

type addrSet map[netip.Addr]struct{}

func (s addrSet) match(v *field.Value) bool {
	_, ok := s[v.IP]
	return ok
}

// netSet holds networks that do not contain each other, so few that a scan is fast.
type netSet []netip.Prefix

func newNetSet(nets []netip.Prefix) netSet {
	var s netSet
	slices.SortFunc(nets, func(a, b netip.Prefix) int { return a.Bits() - b.Bits() })
	for _, n := range nets {
		if !slices.ContainsFunc(s, func(wide netip.Prefix) bool { return wide.Contains(n.Addr()) }) {
			s = append(s, n.Masked())
		}
	}
	return s
}

func (s netSet) match(v *field.Value) bool {
	for i := range s {
		if s[i].Contains(v.IP) {
			return true
		}
	}
	return false
}

// pathSet is a trie of the components of paths, for pmatch.
type pathSet struct {
	end      bool // a path of the set ends here
	children map[string]*pathSet
	globs    []globChild
}

type globChild struct {
	text string
	glob *glob
	node *pathSet
}

// add adds a path. Its components with a pattern are compiled.
func (s *pathSet) add(path string) error {
	node := s
	for c := range strings.SplitSeq(path, "/") {
		if c == "" {
			continue
		}
		next, err := node.child(c)
		if err != nil {
			return err
		}
		node = next
	}
	node.end = true
	return nil
}

func (s *pathSet) child(c string) (*pathSet, error) {
	if strings.ContainsAny(c, `*?[`) {
		for _, g := range s.globs {
			if g.text == c {
				return g.node, nil
			}
		}
		g, err := compileGlob(c, false)
		if err != nil {
			return nil, err
		}
		node := &pathSet{}
		s.globs = append(s.globs, globChild{c, g, node})
		return node, nil
	}
	node := s.children[c]
	if node == nil {
		node = &pathSet{}
		if s.children == nil {
			s.children = map[string]*pathSet{}
		}
		s.children[c] = node
	}
	return node, nil
}

func (s *pathSet) match(v *field.Value) bool { return s.covers(v.Str) }

// covers reports whether the path is in the set or below an element.
func (s *pathSet) covers(path []byte) bool {
	for {
		if s.end {
			return true
		}
		for len(path) > 0 && path[0] == '/' {
			path = path[1:]
		}
		if len(path) == 0 {
			return false
		}
		component, rest := path, []byte(nil)
		if i := bytes.IndexByte(path, '/'); i >= 0 {
			component, rest = path[:i], path[i:]
		}
		for i := range s.globs {
			if g := &s.globs[i]; g.glob.matches(component) && g.node.covers(rest) {
				return true
			}
		}
		next := s.children[string(component)]
		if next == nil {
			return false
		}
		s, path = next, rest
	}
}
