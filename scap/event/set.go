// SPDX-License-Identifier: Apache-2.0

package event

import (
	"math/bits"

	"github.com/scaplab/scaplab/internal/abi"
)

// Set is a set of event codes. The zero value is empty. A Set is a value: copies are
// independent, and sets can be compared with ==.
type Set struct {
	low   [8]uint64                 // codes of the reference schema
	own   [abi.OwnCodes / 64]uint64 // codes from FirstOwn on
	other bool                      // all codes that fit neither
}

// Universe returns the set of all codes, known or not.
func Universe() Set { return Set{}.Not() }

// SetOf returns the set of the codes for which keep returns true. Codes that are not
// known are not in it.
func SetOf(keep func(*Info) bool) (s Set) {
	for i := range infos {
		if keep(&infos[i]) {
			s.Add(infos[i].Code)
		}
	}
	return s
}

// word returns the word and the bit of t; nil if t shares the bit of all others.
func (s *Set) word(t Type) (*uint64, uint64) {
	switch {
	case int(t) < 64*len(s.low):
		return &s.low[t/64], 1 << (t % 64)
	case t >= FirstOwn && int(t-FirstOwn) < 64*len(s.own):
		t -= FirstOwn
		return &s.own[t/64], 1 << (t % 64)
	}
	return nil, 0
}

// Add adds a code.
func (s *Set) Add(t Type) {
	if w, bit := s.word(t); w != nil {
		*w |= bit
	} else {
		s.other = true
	}
}

// Remove removes a code.
func (s *Set) Remove(t Type) {
	if w, bit := s.word(t); w != nil {
		*w &^= bit
	} else {
		s.other = false
	}
}

// Has reports whether t is in the set.
func (s *Set) Has(t Type) bool {
	if w, bit := s.word(t); w != nil {
		return *w&bit != 0
	}
	return s.other
}

// And returns the codes that are in both sets.
func (s Set) And(o Set) Set {
	for i := range s.low {
		s.low[i] &= o.low[i]
	}
	for i := range s.own {
		s.own[i] &= o.own[i]
	}
	s.other = s.other && o.other
	return s
}

// Or returns the codes that are in one of the sets.
func (s Set) Or(o Set) Set {
	for i := range s.low {
		s.low[i] |= o.low[i]
	}
	for i := range s.own {
		s.own[i] |= o.own[i]
	}
	s.other = s.other || o.other
	return s
}

// Not returns the codes that are not in the set.
func (s Set) Not() Set {
	for i := range s.low {
		s.low[i] = ^s.low[i]
	}
	for i := range s.own {
		s.own[i] = ^s.own[i]
	}
	s.other = !s.other
	return s
}

// Empty reports whether no code is in the set.
func (s Set) Empty() bool { return s == Set{} }

// Len returns the number of known codes in the set.
func (s Set) Len() (n int) {
	known := SetOf(func(*Info) bool { return true })
	s = s.And(known)
	for _, w := range s.low {
		n += bits.OnesCount64(w)
	}
	for _, w := range s.own {
		n += bits.OnesCount64(w)
	}
	return n
}
