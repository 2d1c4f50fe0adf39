// SPDX-License-Identifier: Apache-2.0

// Package scap captures system events: the one interface of everything that
// events come from, and what all of them share.
//
// Engines are in packages of their own: ebpf and kmod read a live kernel,
// savefile reads captures. What is in an event, package event tells; the example of
// package ebpf shows them together.
package scap

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/scaplab/scaplab/scap/event"
)

// ErrTimeout means that a live source had no event in time; more may come.
var ErrTimeout = errors.New("no event in time")

// Source is where events come from. One goroutine at a time may use it; what
// else a source allows, its type says. To stop a loop from outside, see [Events].
//
// Events are views into the source's memory, valid until the next call of a
// reading method or Close; event.Event.Clone and CopyTo keep one for longer. The
// reading methods do not allocate.
type Source interface {
	// Next is the next event. The error is [io.EOF] when there will be no
	// more, [ErrTimeout] when a live source had nothing for some time,
	// os.ErrClosed after Close; others say what is wrong with the source.
	Next() (*event.Event, error)
	// NextInto is Next into the caller's Event.
	NextInto(ev *event.Event) error
	// ReadBatch fills evs with the next events and returns how many, at least
	// 1 unless there is an error or evs is empty. All of them are valid until the
	// next call. It waits for the first event only.
	ReadBatch(evs []event.Event) (int, error)
	// Stats counts since the source was opened. After Close it returns the
	// last counts.
	Stats() (Stats, error)
	// Close ends the capture; events read before are no longer valid, and
	// reads return os.ErrClosed, as does a second Close.
	Close() error
}

// Stats says what became of the events: Seen = Delivered + Drops.Total(),
// exactly, once the producer is at rest and everything was read.
type Stats struct {
	Seen      uint64 // events that passed selection and were begun by the producer
	Delivered uint64 // events handed to the reader
	Drops     Drops
}

// Drops counts lost events by cause.
type Drops struct {
	BufferFull uint64 // the ring had no room: the reader was too slow
	TooLarge   uint64 // the event did not fit the largest record
	Scratch    uint64 // the producer's scratch memory was not to be had
	TailCall   uint64 // the program of the event's type could not be called
	NoRing     uint64 // the CPU has no ring: it came up during the capture
	Other      uint64 // anything else, such as a failed read of the kernel's memory
}

// Total is the sum of all causes.
func (d Drops) Total() uint64 {
	return d.BufferFull + d.TooLarge + d.Scratch + d.TailCall + d.NoRing + d.Other
}

// Add sums two counts.
func (d Drops) Add(o Drops) Drops {
	return Drops{
		BufferFull: d.BufferFull + o.BufferFull,
		TooLarge:   d.TooLarge + o.TooLarge,
		Scratch:    d.Scratch + o.Scratch,
		TailCall:   d.TailCall + o.TailCall,
		NoRing:     d.NoRing + o.NoRing,
		Other:      d.Other + o.Other,
	}
}

// Add sums two counts.
func (s Stats) Add(o Stats) Stats {
	return Stats{
		Seen:      s.Seen + o.Seen,
		Delivered: s.Delivered + o.Delivered,
		Drops:     s.Drops.Add(o.Drops),
	}
}

// Events ranges over all events of a source until the source ends or ctx is done.
// An event is valid inside the loop's body. Timeouts of live sources are passed
// over, so the loop waits for as long as nothing happens; a reader that wants to look
// at the clock calls Next itself. Any other error is the last thing the loop gets.
//
// Cancelling ctx, from any goroutine, is how a loop is stopped from outside: the
// loop ends without an error, before its next event, and a live source that waits is
// woken. A source that waits for its input, such as a capture in a pipe, ends the
// loop when its read returns. The source is still open: stop the loop first, then
// close, since Close takes the memory of an event that is in use.
func Events(ctx context.Context, src Source) iter.Seq2[*event.Event, error] {
	return func(yield func(*event.Event, error) bool) {
		if src, ok := src.(interrupter); ok {
			defer context.AfterFunc(ctx, src.Interrupt)()
		}
		done := ctx.Done()
		for {
			select {
			case <-done:
				return
			default:
			}
			ev, err := src.Next()
			switch {
			case err == nil:
				if !yield(ev, nil) {
					return
				}
			case errors.Is(err, ErrTimeout):
			case errors.Is(err, io.EOF):
				return
			default:
				yield(nil, err)
				return
			}
		}
	}
}

// interrupter is a source whose read, while it waits, can be woken: see Live.
type interrupter interface{ Interrupt() }
