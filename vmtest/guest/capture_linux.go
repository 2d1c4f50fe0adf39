// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// firstNumber is one less than the number of a guest's first mark.
func firstNumber() uint32 { return rand.Uint32() & markNumbers }

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

// collector reads a source while a process runs its cases, and keeps the events of each.
type collector struct {
	src   scap.Source
	rings int
	first uint32 // number of the first case's marks
	parts []part // of each case

	began, end bool
	mixed      bool          // the events of the cases are not in order
	events     []event.Event // of all threads, from the first mark on, with the marks
	batch      []event.Event
	err        error
}

// part has the events from a case's first mark to that of the next case.
type part struct {
	began, after bool
	tid          uint64        // the calling thread
	events       []event.Event // of all threads
	until        int           // number of events before the mark after the call
}

// batchSize is the number of events that are read at a time.
const batchSize = 256

// newCollector returns a collector that reads through batch, which collectors that take turns may share.
func newCollector(e engine, batch []event.Event, first uint32, cases int) *collector {
	return &collector{src: e, rings: e.rings(), first: first, parts: make([]part, cases), batch: batch}
}

// keepLimit is the number of events that are kept of one process's cases.
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

// finish reads until the end mark arrives, and gives each case its events.
func (c *collector) finish(limit time.Duration) error {
	defer c.divide()
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
	_, which, marked := c.mark(ev)
	c.began = c.began || marked && which == MarkBefore
	c.end = c.end || marked && which == markEnd
	if c.began && (marked || len(c.events) < keepLimit) {
		c.events = append(c.events, ev.Clone())
	}
}

// mark returns the case whose mark the event is.
func (c *collector) mark(ev *event.Event) (nth int, which uint32, ok bool) {
	number, which, ok := ReadMark(ev)
	nth = int((number - c.first) & markNumbers)
	return nth, which, ok && nth < len(c.parts)
}

// divide gives each case its events. Those of several cases may be out of order: if the thread
// changes the CPU, they are in different rings, of which one may be read too late.
func (c *collector) divide() {
	var (
		p    *part
		next int    // the mark that follows, if the events are in order
		last uint64 // time of the thread's last event
	)
	for i := range c.events {
		ev := &c.events[i]
		nth, which, marked := c.mark(ev)
		if marked && which != markEnd {
			c.mixed = c.mixed || next != 2*nth+int(which-MarkBefore)
			next++
		}
		if p != nil && uint64(ev.TID()) == p.tid {
			c.mixed = c.mixed || ev.Timestamp() < last
			last = ev.Timestamp()
		}
		switch {
		case marked && which == MarkBefore:
			p = &c.parts[nth]
			p.began, p.tid = true, uint64(ev.TID())
		case marked && which == MarkAfter && p == &c.parts[nth]:
			if !p.after {
				p.after, p.until = true, len(p.events)
			}
		case !marked && p != nil:
			p.events = append(p.events, *ev)
		}
	}
	for i := range c.parts {
		if p := &c.parts[i]; !p.after {
			p.until = len(p.events)
		}
	}
}

// fill adds a case's events to its capture: those of the calling thread between its marks, and all
// events of the child that it made, or of the threads that a scenario names. Events of close belong to the marks, unless the case
// calls close.
func (p *part) fill(c *Capture, res *CaseResult, init bool) {
	// Init is in the first pid namespace, so the thread knows its number there; elsewhere the number is that in the driver's events.
	if p.tid != 0 && !init {
		res.TID = p.tid
	}
	switch {
	case c.Incomplete != "":
	case !p.began:
		c.Incomplete = "the driver did not deliver the event that begins the case"
	case res.Return && !p.after:
		c.Incomplete = "the driver did not deliver the event after the call"
	}
	for i := range p.events {
		ev := &p.events[i]
		switch {
		case uint64(ev.TID()) == p.tid && i < p.until, uint64(ev.TID()) != p.tid && slices.Contains(res.Threads, uint64(ev.TID())), res.Child != 0 && uint64(ev.TID()) == res.Child:
			c.Events = append(c.Events, ev.Bytes())
		default:
			c.Others++
		}
	}
}
