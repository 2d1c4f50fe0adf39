// SPDX-License-Identifier: Apache-2.0

package event

// ByCode has a value for each known event code: a map that costs no more than a slice.
type ByCode[T any] struct {
	low, own []T // codes of the reference schema; from FirstOwn on
	other    T   // of codes that are not known
}

// MakeByCode returns the values that of has for all known codes; At returns other for the
// rest.
func MakeByCode[T any](other T, of func(*Info) T) *ByCode[T] {
	m := &ByCode[T]{other: other}
	for in := range All() {
		run, at := &m.low, int(in.Code)
		if in.Code >= FirstOwn {
			run, at = &m.own, int(in.Code-FirstOwn)
		}
		for len(*run) <= at {
			*run = append(*run, other)
		}
		(*run)[at] = of(in)
	}
	return m
}

// At returns the value of a code. The caller must not change it.
func (m *ByCode[T]) At(t Type) *T {
	run, at := m.low, int(t)
	if t >= FirstOwn {
		run, at = m.own, int(t-FirstOwn)
	}
	if at < len(run) {
		return &run[at]
	}
	return &m.other
}
