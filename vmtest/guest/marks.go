// SPDX-License-Identifier: Apache-2.0

package guest

import (
	"encoding/binary"

	"github.com/scaplab/scaplab/scap/event"
)

// Marks are failing close calls around the call under test and after it. They
// separate its events from others without comparing times, and show that the
// driver works and that no more events will come. The descriptor is not open;
// its number identifies the mark:
//
//	0x40000000 | number << 4 | which
//
// The numbers of a guest begin at a random one: drivers capture the calls of the whole
// system, so a guest also sees the marks of another guest on the same kernel.
const (
	markBase    = 0x40000000
	markNumbers = 1<<26 - 1

	MarkBefore = 1
	MarkAfter  = 2
	markEnd    = 3 // by the guest itself, after the child has ended
)

func caseMark(number uint32) uint32 { return markBase | number&markNumbers<<4 }

// ReadMark returns the number of a case's marks, and which of them the event is; ok is
// false for events that are no marks.
func ReadMark(ev *event.Event) (number, which uint32, ok bool) {
	if ev.Type() != event.TypeCloseExit || ev.NumParams() < 2 {
		return 0, 0, false
	}
	fd := ev.Param(1)
	if len(fd) != 8 {
		return 0, 0, false
	}
	v := binary.NativeEndian.Uint64(fd)
	if v&^uint64(markBase-1) != markBase {
		return 0, 0, false
	}
	return uint32(v) >> 4 & markNumbers, uint32(v) & 15, true
}
