// SPDX-License-Identifier: Apache-2.0

// Package scap captures system events. It has the interface of all sources of events
// and what they share.
//
// The sources have their own packages: ebpf and kmod read a live kernel, savefile
// reads captures. Package event describes what an event contains. The example of
// package ebpf shows them together.
package scap

import (
	"context"
	"errors"
	"io"
	"iter"

	"github.com/scaplab/scaplab/scap/event"
)

// ErrTimeout means that a live source had no event in time. More events may come.
var ErrTimeout = errors.New("no event in time")

// Source is a source of events. One goroutine at a time may use it, unless its type
// says otherwise. To stop a loop from outside, see [Events].
//
// Events are views into the source's memory, valid until the next call of a
// reading method or Close; event.Event.Clone and CopyTo copy an event to keep it.
// The reading methods do not allocate.
type Source interface {
	// Next returns the next event. The error is [io.EOF] at the end,
	// [ErrTimeout] if a live source had no event for some time, and
	// os.ErrClosed after Close; other errors say what is wrong with the source.
	Next() (*event.Event, error)
	// NextInto does what Next does, with the caller's Event.
	NextInto(ev *event.Event) error
	// ReadBatch fills evs with the next events and returns their number, at least
	// 1 unless there is an error or evs is empty. The events are valid until the
	// next call. ReadBatch waits for the first event only.
	ReadBatch(evs []event.Event) (int, error)
	// Stats returns the counts since the source was opened, after Close the
	// last ones.
	Stats() (Stats, error)
	// Close ends the capture. Events read before are no longer valid, and
	// further reads and a second Close return os.ErrClosed.
	Close() error
}

// Stats counts events by what happened to them. Once the producer is at rest and the
// reader has read everything, Seen equals Delivered + Drops.Total().
type Stats struct {
	Seen      uint64 // events that passed the selection and that the producer began
	Delivered uint64 // events handed to the reader
	Drops     Drops
}

// Drops counts lost events by cause.
type Drops struct {
	BufferFull uint64 // the ring had no room: the reader was too slow
	TooLarge   uint64 // the event did not fit the largest record
	Scratch    uint64 // the producer's scratch memory was not available
	TailCall   uint64 // the program of the event's type could not be called
	NoRing     uint64 // the CPU has no ring: it came up during the capture
	Messages   uint64 // the message came after the first 16 of a sendmmsg or recvmmsg, which have an event each
	Other      uint64 // anything else, such as a failed read of the kernel's memory
}

// Total returns the sum of all causes.
func (d Drops) Total() uint64 {
	return d.BufferFull + d.TooLarge + d.Scratch + d.TailCall + d.NoRing + d.Messages + d.Other
}

// Add returns the sum of d and o.
func (d Drops) Add(o Drops) Drops {
	return Drops{
		BufferFull: d.BufferFull + o.BufferFull,
		TooLarge:   d.TooLarge + o.TooLarge,
		Scratch:    d.Scratch + o.Scratch,
		TailCall:   d.TailCall + o.TailCall,
		NoRing:     d.NoRing + o.NoRing,
		Messages:   d.Messages + o.Messages,
		Other:      d.Other + o.Other,
	}
}

// Add returns the sum of s and o.
func (s Stats) Add(o Stats) Stats {
	return Stats{
		Seen:      s.Seen + o.Seen,
		Delivered: s.Delivered + o.Delivered,
		Drops:     s.Drops.Add(o.Drops),
	}
}

// Events ranges over all events of a source until the source ends or ctx is done.
// An event is valid inside the loop's body. Events skips timeouts of live sources,
// so the loop waits for as long as nothing happens; a reader that needs to act on
// time calls Next itself. Any other error ends the loop after the loop has got it.
//
// To stop a loop from outside, cancel ctx, from any goroutine: the loop ends without
// an error before its next event, and a live source that waits wakes up. If the
// source waits for its input, such as a capture in a pipe, the loop ends when that
// read returns. The source stays open. Stop the loop before Close, since Close frees
// the memory of an event that is in use.
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

// interrupter is a source whose waiting read can be woken: see Live.
type interrupter interface{ Interrupt() }
