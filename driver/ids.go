// SPDX-License-Identifier: Apache-2.0

package driver

import "slices"

// IDs returns a copy of the list of syscall codes of the file format, in their order.
func IDs() []ID { return slices.Clone(ids[:]) }

// ID is a syscall code: a generic event carries it instead of a name.
// ids_gen.go lists them all, whether or not the table has an entry for the call.
type ID struct {
	Code   uint16
	Name   string
	Drop   Drop
	NR     NR     // as in Call
	Symbol string // the kernel's name of the call's function and tracepoint, if it is another
}
