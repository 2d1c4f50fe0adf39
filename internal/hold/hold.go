// SPDX-License-Identifier: Apache-2.0

// Package hold keeps events in memory that cannot be used yet. An event of a source is valid until the next read only.
package hold

import "github.com/scaplab/scaplab/scap/event"

// chunk is how much memory is taken at once. Events have some 100 bytes.
const chunk = 1 << 20

// Events are copies of events, in order. The zero value is empty.
type Events struct {
	evs  []event.Event
	free []byte // rest of the last chunk
	size int
}

// Add copies ev.
func (h *Events) Add(ev *event.Event) {
	raw := ev.Bytes()
	if len(raw) > len(h.free) {
		h.free = make([]byte, max(chunk, len(raw)))
		h.size += len(h.free)
	}
	n := copy(h.free, raw)
	var held event.Event
	held.ResetUnchecked(h.free[:n:n], ev.CPU())
	held.SetHidden(ev.Hidden())
	h.free = h.free[n:]
	h.evs = append(h.evs, held)
}

// Size returns the bytes of memory that are taken, about.
func (h *Events) Size() int {
	const view = 32 // bytes of an event.Event
	return h.size + view*cap(h.evs)
}

// All returns the events. They stay valid.
func (h *Events) All() []event.Event { return h.evs }
