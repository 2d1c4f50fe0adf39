// SPDX-License-Identifier: Apache-2.0

package event

import "slices"

// Persona is a version of the reference that the kernel module can speak: its parameter persona takes API.
type Persona struct {
	API    string // version of the driver interface
	Schema string // of the events
	Codes  Type   // event codes that clients of this version know are below it
	IDs    uint16 // and syscall codes, which generic events carry, below this
	Older  bool   // these clients know Info.OldParams params
}

// Personas returns the versions that the module can speak, the default first.
func Personas() []Persona { return slices.Clone(personas[:]) }
