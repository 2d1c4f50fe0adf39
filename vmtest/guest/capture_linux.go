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

// Marks are failing close calls around the call under test and after it: they
// tell its events from all others without looking at clocks, show that the
// driver is alive, and that there is nothing more to come. The descriptor is
// no open file, and says whose mark it is:
//
//	0x40000000 | number << 4 | which
//
// The numbers of a guest begin anywhere: drivers capture the calls of the whole system,
// so a guest also sees the marks of another that runs on the same kernel.
const (
	markBase    = 0x40000000
	markNumbers = 1<<26 - 1

	markBefore = 1
	markAfter  = 2
	markEnd    = 3 // by the guest itself, when the child is gone
)

// firstNumber is the number before that of a guest's first mark.
func firstNumber() uint32 { return rand.Uint32() & markNumbers }

func caseMark(number uint32) uint32 { return markBase | number&markNumbers<<4 }

// mark makes the event of a mark.
//
//go:nosplit
func mark(fd uint32) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// engine is a driver's source, fit for cases.
type engine interface {
	scap.Source
	// selectCalls makes the named syscalls, and those only, the ones of interest.
	selectCalls(names []string, snaplen int) error
	// pause makes nothing of interest.
	pause() error
	// retime is called when the machine's clock was set.
	retime() error
	// rings is the number of queues: with one, events come in their order.
	rings() int
	state() DriverState
}

// collector reads a source while a case runs and keeps what belongs to the case.
type collector struct {
	src   scap.Source
	rings int
	mark  uint32

	began, after, end bool
	tid               uint64
	events            []event.Event // of all threads, from the first mark on
	marks             []int         // where in events the marks of the calling thread stand
	batch             []event.Event
	err               error
}

func newCollector(e engine, mark uint32) *collector {
	return &collector{src: e, rings: e.rings(), mark: mark, batch: make([]event.Event, 256)}
}

// keepLimit is the number of events kept of one case.
const keepLimit = 20000

// drainLimit is how long drain may go on: the reader waits with the very calls
// that some cases capture, and each of its waits is then an event that ends the next.
const drainLimit = 50 * time.Millisecond

// drain reads what is there and returns when the source has nothing for now.
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

// finish reads until the end mark has come.
func (c *collector) finish(limit time.Duration) error {
	for deadline := time.Now().Add(limit); !c.end && c.err == nil; {
		if time.Now().After(deadline) {
			return errors.New("the driver did not deliver the event that ends the case")
		}
		c.drain()
	}
	if c.rings > 1 { // what another ring has of before the mark may come after it
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

// isMark tells whether the event is a mark of this case.
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

// ofCase picks the events of the calling thread between its marks, and all of
// the child it made. Events of close belong to the marks unless close is
// under test.
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
