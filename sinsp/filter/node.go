// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"encoding/binary"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/sinsp"
)

// node is a compiled part of a filter. Equal parts of a group are one node, which is
// evaluated once per event.
type node struct {
	id        uint32
	kind      kind // kindAnd, kindOr, kindNot, kindCheck
	can, must event.Set
	kids      []*node
	leaf      *leaf

	uses   int    // of parts and filters
	gen    uint64 // number of the evaluation that result is of
	result bool
}

// eval returns the result for ev, of type t.
func (n *node) eval(gen uint64, ev *sinsp.Event, t event.Type) bool {
	if n.uses == 1 {
		return n.holds(gen, ev, t)
	}
	if n.gen != gen {
		n.result = n.holds(gen, ev, t)
		n.gen = gen
	}
	return n.result
}

func (n *node) holds(gen uint64, ev *sinsp.Event, t event.Type) bool {
	switch n.kind {
	case kindCheck:
		return n.leaf.eval(gen, ev)
	case kindAnd:
		for _, kid := range n.kids {
			if !kid.eval(gen, ev, t) {
				return false
			}
		}
		return true
	case kindOr:
		for _, kid := range n.kids {
			if kid.eval(gen, ev, t) {
				return true
			}
		}
		return false
	}
	return !n.kids[0].eval(gen, ev, t)
}

// may reports whether n may hold, and whether it always does, for all events of the call
// of ev. known has the results so far.
func (n *node) may(gen uint64, ev *sinsp.Event, t event.Type, known map[*node][2]bool) (can, must bool) {
	if can, must = n.can.Has(t), n.must.Has(t); can == must {
		return can, must
	}
	if r, ok := known[n]; ok {
		return r[0], r[1]
	}
	switch n.kind {
	case kindAnd, kindOr:
		// Kids that were left out hold in an and that may hold, and do not hold in an
		// or that does not always hold.
		can, must = n.kind == kindAnd, n.kind == kindAnd
		for _, kid := range n.kids {
			c, m := kid.may(gen, ev, t, known)
			if n.kind == kindAnd {
				can, must = can && c, must && m
			} else {
				can, must = can || c, must || m
			}
		}
	case kindNot:
		c, m := n.kids[0].may(gen, ev, t, known)
		can, must = !m, !c
	case kindCheck:
		if n.leaf.ofCall() {
			holds := n.leaf.holds(gen, ev)
			can, must = holds, holds
		}
	}
	known[n] = [2]bool{can, must}
	return can, must
}

// nodes makes nodes, each once.
type nodes struct {
	byKey map[string]*node
	count uint32
	key   []byte
}

// get returns the node of a kind with those kids, or with that leaf. It is new if there
// was none.
func (s *nodes) get(k kind, leaf *leaf, kids []*node) (n *node, isNew bool) {
	s.key = append(s.key[:0], byte(k))
	if leaf != nil {
		s.key = binary.NativeEndian.AppendUint32(s.key, leaf.id)
	}
	for _, kid := range kids {
		s.key = binary.NativeEndian.AppendUint32(s.key, kid.id)
	}
	if n := s.byKey[string(s.key)]; n != nil {
		n.uses++
		return n, false
	}
	s.count++
	n = &node{id: s.count, kind: k, kids: kids, leaf: leaf, uses: 1}
	s.byKey[string(s.key)] = n
	return n, true
}

// program is what is left of a filter for the events of one code.
type program struct {
	decided bool // the code decides
	result  bool // if it does
	root    *node
}

// programs makes programs for the events of one code.
type programs struct {
	nodes
	code event.Type
	done map[*node]program
}

// of returns what is left of n. It evaluates no fields.
func (s *programs) of(n *node) (p program) {
	switch {
	case !n.can.Has(s.code):
		return program{decided: true}
	case n.must.Has(s.code):
		return program{decided: true, result: true}
	}
	if p, ok := s.done[n]; ok {
		if !p.decided {
			p.root.uses++
		}
		return p
	}
	defer func() { s.done[n] = p }()
	if n.kind == kindCheck {
		return s.program(kindCheck, n.leaf, nil)
	}
	var kids []*node
	for _, kid := range n.kids {
		p := s.of(kid)
		switch {
		case !p.decided:
			kids = append(kids, p.root)
		case n.kind == kindNot:
			return program{decided: true, result: !p.result}
		case p.result == (n.kind == kindOr): // one true kid of an or, one false kid of an and
			return p
		}
	}
	switch {
	case len(kids) == 0: // an and of true kids, an or of false ones
		return program{decided: true, result: n.kind == kindAnd}
	case len(kids) == 1 && n.kind != kindNot:
		return program{root: kids[0]}
	}
	return s.program(n.kind, nil, kids)
}

func (s *programs) program(k kind, leaf *leaf, kids []*node) program {
	n, _ := s.get(k, leaf, kids)
	return program{root: n}
}
