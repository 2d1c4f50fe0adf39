// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Mailbox is memory that the two sides of a stream share. A payload that is put there
// need not pass through the stream, of which a serial port takes 10 microseconds a byte where it is emulated.
//
// The first 8 bytes are the reader's: the position behind the last payload that it took. Payloads
// are in a ring, from the second page on, each in one piece. A position counts all bytes of the ring that were ever
// used, so position % size is the place.
type Mailbox struct {
	taken *uint64
	ring  []byte
	next  uint64        // the writer's: position of the next payload
	limit time.Duration // in which the reader must make room; the payload passes through the stream otherwise
}

// MailboxSize is the size of a mailbox in bytes, a power of two.
const MailboxSize = 1 << 20

// A machine and its host share two mailboxes, one behind the other: that of the machine's payloads first, then that of the
// host's. SharedSize is the size of both.
const SharedSize = 2 * MailboxSize

const mailboxHead = 4096

// NewMailbox returns the mailbox in a mapping of MailboxSize bytes, which must be kept.
func NewMailbox(mem []byte) *Mailbox {
	return &Mailbox{taken: (*uint64)(unsafe.Pointer(&mem[0])), ring: mem[mailboxHead:MailboxSize], limit: 5 * time.Second}
}

// put copies a payload into the ring and returns its position. It fails if the payload
// is too large, or if there is no room in time.
func (m *Mailbox) put(payload []byte) (at uint64, ok bool) {
	if m == nil || len(payload) > len(m.ring)/2 {
		return 0, false
	}
	size := uint64(len(m.ring))
	at = m.next
	if at%size+uint64(len(payload)) > size {
		at += size - at%size
	}
	end := at + uint64(len(payload))
	for start := time.Now(); end-atomic.LoadUint64(m.taken) > size; time.Sleep(time.Millisecond) {
		if time.Since(start) > m.limit {
			return 0, false
		}
	}
	copy(m.ring[at%size:], payload)
	m.next = end
	return at, true
}

// take returns a copy of the payload at a position, and frees its room. It returns nil if
// nothing can be there.
func (m *Mailbox) take(at uint64, length int) []byte {
	if m == nil || length > len(m.ring) {
		return nil
	}
	place := at % uint64(len(m.ring))
	if place+uint64(length) > uint64(len(m.ring)) {
		return nil
	}
	payload := append([]byte{}, m.ring[place:][:length]...)
	atomic.StoreUint64(m.taken, at+uint64(length))
	return payload
}
