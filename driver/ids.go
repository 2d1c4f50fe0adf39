// SPDX-License-Identifier: Apache-2.0

package driver

import "slices"

// IDs lists the syscall codes of the file format, in their order. The list is the
// caller's own.
func IDs() []ID { return slices.Clone(ids[:]) }

// ID is a syscall code: what a generic event carries instead of a name.
// ids_gen.go lists them all, whether or not the table has an entry for the call.
type ID struct {
	Code uint16
	Name string
	Drop Drop
	NR   NR     // as in Call
	IA32 string // the amd64 call that a 386-only number stands for; "none": such calls make no event
}
