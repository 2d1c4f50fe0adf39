// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
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

	markBefore = 1
	markAfter  = 2
	markEnd    = 3 // by the guest itself, after the child has ended
)

// firstNumber is one less than the number of a guest's first mark.
func firstNumber() uint32 { return rand.Uint32() & markNumbers }

func caseMark(number uint32) uint32 { return markBase | number&markNumbers<<4 }

// mark makes the event of a mark.
//
//go:nosplit
func mark(fd uint32) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// engine is a driver's source that can run cases.
type engine interface {
	scap.Source
	// selectCalls selects the named syscalls and no others.
	selectCalls(names []string, snaplen int) error
	// pause selects nothing.
	pause() error
	// retime is called after the machine's clock was set.
	retime() error
	// rings returns the number of ring buffers: with one, events arrive in order.
	rings() int
	state() DriverState
}

// collector reads a source while a case runs, and keeps the events of the case.
type collector struct {
	src   scap.Source
	rings int
	mark  uint32

	began, after, end bool
	tid               uint64
	events            []event.Event // of all threads, from the first mark on
	marks             []int         // indexes in events of the calling thread's marks
	batch             []event.Event
	err               error
}

func newCollector(e engine, mark uint32) *collector {
	return &collector{src: e, rings: e.rings(), mark: mark, batch: make([]event.Event, 256)}
}

// keepLimit is the number of events that are kept of one case.
const keepLimit = 20000

// drainLimit bounds drain: the reader waits with calls that some cases capture, so each
// wait makes an event that ends the next wait.
const drainLimit = 50 * time.Millisecond

// drain reads available events until the source has none.
func (c *collector) drain() {
	for start := time.Now(); c.err == nil && time.Since(start) < drainLimit; {
		n, err := c.src.ReadBatch(c.batch)
		for i := range c.batch[:n] {
			c.take(&c.batch[i])
		}
		switch {
		case errors.Is(err, scap.ErrTimeout):
			return
		case err != nil:
			c.err = fmt.Errorf("read events: %w", err)
		case n == 0 || c.end:
			return
		}
	}
}

// finish reads until the end mark arrives.
func (c *collector) finish(limit time.Duration) error {
	for deadline := time.Now().Add(limit); !c.end && c.err == nil; {
		if time.Now().After(deadline) {
			return errors.New("the driver did not deliver the event that ends the case")
		}
		c.drain()
	}
	if c.rings > 1 { // events before the mark may still be in another ring
		c.end = false
		c.drain()
		c.end = true
	}
	return c.err
}

func (c *collector) take(ev *event.Event) {
	if which, ok := c.isMark(ev); ok {
		switch which {
		case markBefore:
			c.began, c.tid = true, uint64(ev.TID())
		case markAfter:
			c.after = true
			c.marks = append(c.marks, len(c.events))
		case markEnd:
			c.end = true
		}
		return
	}
	if !c.began || len(c.events) >= keepLimit {
		return
	}
	c.events = append(c.events, ev.Clone())
}

// isMark reports whether the event is a mark of this case.
func (c *collector) isMark(ev *event.Event) (which uint32, ok bool) {
	if ev.Type() != event.TypeCloseExit {
		return 0, false
	}
	fd := ev.Param(1)
	if len(fd) != 8 {
		return 0, false
	}
	v := binary.NativeEndian.Uint64(fd)
	if uint32(v)&^15 != c.mark || v>>32 != 0 {
		return 0, false
	}
	return uint32(v) & 15, true
}

// ofCase returns the events of the calling thread between its marks, and all events
// of the child that it made. Events of close belong to the marks, unless the case
// calls close.
func (c *collector) ofCase(childTID uint64) (events [][]byte, others int) {
	until := len(c.events)
	if len(c.marks) > 0 {
		until = c.marks[0]
	}
	for i := range c.events {
		ev := &c.events[i]
		switch {
		case uint64(ev.TID()) == c.tid && i < until, childTID != 0 && uint64(ev.TID()) == childTID:
			events = append(events, ev.Bytes())
		default:
			others++
		}
	}
	return events, others
}
