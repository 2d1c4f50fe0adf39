// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// flushSize is how many bytes of whole blocks are buffered for one write.
const flushSize = 256 << 10

// WriterOptions of [NewWriter] and [Create]. The zero value writes bare blocks
// without any state.
type WriterOptions struct {
	// State is written before the first event; nil: none.
	State *proc.State
	// Compress writes gzip with several members, compressed in parallel.
	Compress bool
	// Level of compression, 1 to 9; 0: 6, which is fast enough for live captures.
	Level int
	// Compat limits the file to what libs up to 0.23 can read: exit events that are
	// newer or only this project's become generic events, their enter events are
	// left out, and socket and fcntl drop their last param, which makes libs reject
	// the whole file.
	Compat bool
	// Generic returns the syscall code and the native number for the generic event
	// that replaces a newer one (driver.IDs has them); nil: 0 for both.
	Generic func(t event.Type) (code, nr uint16)
	// FlushInterval is the maximum age of buffered events, checked when events
	// are written; 0: events are written only when the buffer is full.
	FlushInterval time.Duration
}

// Writer writes a capture. One goroutine at a time may use it.
//
// Only whole blocks reach the file, so everything that was flushed stays readable if
// the program dies. After a failure, such as a full disk, every call returns the same
// error.
type Writer struct {
	out   io.Writer
	gz    *parallelGzip
	opts  WriterOptions
	buf   []byte // whole blocks
	order binary.AppendByteOrder

	events    uint64
	size      int64 // of the flushed blocks, before compression
	head      int64 // the part of size before the first event
	lastFlush time.Time
	lower     event.Builder
	leftOut   LeftOut
	err       error
}

// NewWriter begins a capture on w. Close completes the capture and leaves w open.
func NewWriter(w io.Writer, opts WriterOptions) (*Writer, error) {
	wr := &Writer{out: w, opts: opts, order: binary.LittleEndian, buf: make([]byte, 0, flushSize+maxSmallBlock)}
	if hostIsBigEndian {
		wr.order = binary.BigEndian
	}
	if opts.Compress {
		gz, err := newParallelGzip(w, opts.Level)
		if err != nil {
			return nil, err
		}
		wr.gz = gz
	}
	if opts.FlushInterval > 0 {
		wr.lastFlush = time.Now()
	}
	err := wr.Section(opts.State)
	wr.head = wr.Size()
	return wr, err
}

// Section begins another capture in the same file, with its own state; nil: none.
// Readers of the file return the captures one after the other.
func (w *Writer) Section(state *proc.State) error {
	if w.err != nil {
		return w.err
	}
	var options []byte
	if !w.opts.Compat { // released readers have no event of ours
		options = schemaOption(w.order)
	}
	buf := appendSectionHeader(w.buf, w.order, options...)
	if state != nil {
		var err error
		if buf, err = appendState(buf, w.order, state); err != nil {
			return err
		}
	}
	w.buf = buf
	return w.write()
}

var hostIsBigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

func appendSectionHeader(b []byte, o binary.AppendByteOrder, options ...byte) []byte {
	b, at := beginBlock(b, o, sectionHeader)
	b = o.AppendUint32(b, byteOrder)
	b = o.AppendUint16(b, majorVersion)
	b = o.AppendUint16(b, minorVersion)
	b = o.AppendUint64(b, math.MaxUint64) // length of the section: not known
	return endBlock(append(b, options...), o, at)
}

func beginBlock(b []byte, o binary.AppendByteOrder, t uint32) (out []byte, at int) {
	at = len(b)
	b = o.AppendUint32(b, t)
	return o.AppendUint32(b, 0), at
}

func endBlock(b []byte, o binary.AppendByteOrder, at int) []byte {
	for (len(b)-at)&3 != 0 {
		b = append(b, 0)
	}
	size := uint32(len(b) - at + 4)
	o.(binary.ByteOrder).PutUint32(b[at+4:], size)
	return o.AppendUint32(b, size)
}

// appendState appends the blocks of s in the same order as other writers.
func appendState(b []byte, o binary.AppendByteOrder, s *proc.State) ([]byte, error) {
	b, at := beginBlock(b, o, machineInfo)
	b = appendMachine(b, o, &s.Machine)
	b = endBlock(b, o, at)
	if len(s.Interfaces) > 0 {
		b, at = beginBlock(b, o, interfacesV2)
		for _, v4 := range []bool{true, false} {
			for i := range s.Interfaces {
				if in := &s.Interfaces[i]; in.Addr.Is4() == v4 && in.Addr.IsValid() {
					entry := len(b)
					b = appendInterface(append(b, 0, 0, 0, 0), o, in)
					o.(binary.ByteOrder).PutUint32(b[entry:], uint32(len(b)-entry-4))
				}
			}
		}
		b = endBlock(b, o, at)
	}
	if len(s.Users)+len(s.Groups) > 0 {
		b, at = beginBlock(b, o, usersV2)
		b = appendUsers(b, o, s.Users, s.Groups)
		b = endBlock(b, o, at)
	}
	if len(s.Threads) > 0 {
		b, at = beginBlock(b, o, procListV9)
		for i := range s.Threads {
			b = appendThread(b, o, &s.Threads[i])
		}
		if int64(len(b)-at) > math.MaxUint32-8 {
			return b, fmt.Errorf("write process list: %d threads do not fit a block", len(s.Threads))
		}
		b = endBlock(b, o, at)
	}
	for i := range s.Threads {
		t := &s.Threads[i]
		b, at = beginBlock(b, o, fdListV2)
		b = o.AppendUint64(b, uint64(t.TID))
		for j := range t.FDs {
			if t.FDs[j].Type != proc.FDUnknown {
				b = appendFD(b, o, &t.FDs[j])
			}
		}
		b = endBlock(b, o, at)
	}
	return b, nil
}

// Write writes one event.
func (w *Writer) Write(ev *event.Event) error {
	if w.err != nil {
		return w.err
	}
	raw := ev.Bytes()
	if w.opts.Compat {
		var err error
		if raw, err = w.compatible(ev); err != nil || len(raw) == 0 {
			return err
		}
	}
	if len(raw) < event.HeaderSize {
		return fmt.Errorf("write event: %w", event.ErrTruncated)
	}
	wide := event.Type(binary.NativeEndian.Uint16(raw[abi.EventType:])).LargePayload()
	head, t := 10, uint32(eventV2)
	if wide {
		t = eventLarge
	}
	if ev.Hidden() {
		head, t = 14, t+1
	}
	body := head + len(raw)
	size := (body + 4 + 3) &^ 3
	if size-8 > maxSmallBlock && (!wide || size > maxLargeBlock) {
		return fmt.Errorf("write event of %d bytes: %w", len(raw), event.ErrTooLarge)
	}
	n := len(w.buf)
	if n+size > cap(w.buf) {
		w.buf = append(make([]byte, 0, n+size+flushSize), w.buf...)
	}
	b := w.buf[n : n+size]
	o := binary.NativeEndian
	o.PutUint32(b, t)
	o.PutUint32(b[4:], uint32(size))
	o.PutUint16(b[8:], uint16(ev.CPU()))
	if head == 14 {
		o.PutUint32(b[10:], flagHidden)
	}
	o.PutUint32(b[size-8:], 0) // padding, which the event may overwrite
	copy(b[head:], raw)
	o.PutUint32(b[size-4:], uint32(size))
	w.buf = w.buf[:n+size]
	w.events++
	if w.opts.FlushInterval > 0 && w.events&63 == 0 && time.Since(w.lastFlush) >= w.opts.FlushInterval {
		return w.Flush()
	}
	if len(w.buf) >= flushSize {
		return w.write()
	}
	return nil
}

// WriteBatch writes several events.
func (w *Writer) WriteBatch(evs []event.Event) error {
	for i := range evs {
		if err := w.Write(&evs[i]); err != nil {
			return err
		}
	}
	return nil
}

// newer reports whether libs up to 0.23, which know the events of the older reference,
// skip events of type t.
func newer(t event.Type) bool {
	return t >= event.FirstOwn || t >= event.OldCodes && event.Lookup(t) != nil
}

// released returns how many params libs up to 0.23 accepts for t.
func released(t event.Type) int {
	if info := event.Lookup(t); info != nil && info.OldParams > 0 {
		return int(info.OldParams)
	}
	return event.MaxParams
}

// Support is how readers with libs up to 0.23 treat an event.
type Support uint8

const (
	Supported Support = iota // they read it; Compat does not change it
	Skipped                  // they skip it: its type is newer
	Refused                  // they reject the whole file: the event has more params than they know
)

// SupportOf returns how readers with libs up to 0.23 treat ev.
func SupportOf(ev *event.Event) Support {
	switch t := ev.Type(); {
	case newer(t):
		return Skipped
	case ev.NumParams() > released(t):
		return Refused
	}
	return Supported
}

// LeftOut counts what Compat did not write.
type LeftOut struct {
	Generic uint64 // exit events of newer types, written as generic events
	Enter   uint64 // enter events of newer types
	Params  uint64 // events without their last param, which had a value
}

// minus returns what l has more than o.
func (l LeftOut) minus(o LeftOut) LeftOut {
	return LeftOut{l.Generic - o.Generic, l.Enter - o.Enter, l.Params - o.Params}
}

func (l LeftOut) plus(o LeftOut) LeftOut {
	return LeftOut{l.Generic + o.Generic, l.Enter + o.Enter, l.Params + o.Params}
}

// LeftOut returns what Compat did not write so far.
func (w *Writer) LeftOut() LeftOut { return w.leftOut }

// compatible returns the event that Compat writes for ev; empty: none.
func (w *Writer) compatible(ev *event.Event) ([]byte, error) {
	t := ev.Type()
	switch SupportOf(ev) {
	case Supported:
		return ev.Bytes(), nil
	case Skipped:
		if t.Enter() {
			w.leftOut.Enter++
			return nil, nil
		}
		w.leftOut.Generic++
		var code, nr uint16
		if w.opts.Generic != nil {
			code, nr = w.opts.Generic(t)
		}
		w.lower.Begin(event.TypeGenericExit, ev.Timestamp(), ev.TID(), 2)
		w.lower.AddUint16(code)
		w.lower.AddUint16(nr)
	case Refused:
		n := released(t)
		for i := n; i < ev.NumParams(); i++ {
			if len(ev.Param(i)) > 0 {
				w.leftOut.Params++
				break
			}
		}
		w.lower.Begin(t, ev.Timestamp(), ev.TID(), n)
		for i := range n {
			w.lower.Add(ev.Param(i))
		}
	}
	return w.lower.End()
}

// write writes the buffered blocks to the output or the compressor.
func (w *Writer) write() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	if w.gz != nil {
		w.err = w.gz.write(w.buf)
	} else {
		_, w.err = w.out.Write(w.buf)
	}
	if w.err != nil {
		w.err = fmt.Errorf("write capture: %w", w.err)
		return w.err
	}
	w.size += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// Flush writes the buffered blocks. With Compress, compression may still go on when
// Flush returns; Close waits for it.
func (w *Writer) Flush() error {
	if err := w.write(); err != nil {
		return err
	}
	if w.gz != nil {
		if err := w.gz.flush(); err != nil {
			w.err = fmt.Errorf("write capture: %w", err)
			return w.err
		}
	}
	if w.opts.FlushInterval > 0 {
		w.lastFlush = time.Now()
	}
	return nil
}

// Events returns the number of events written.
func (w *Writer) Events() uint64 { return w.events }

// Size returns the size of the capture so far in bytes, before compression and with
// buffered blocks.
func (w *Writer) Size() int64 { return w.size + int64(len(w.buf)) }

// Written returns the number of bytes that reached the output.
func (w *Writer) Written() int64 {
	if w.gz != nil {
		return w.gz.written.Load()
	}
	return w.size
}

// whole returns, after a failure, how many bytes of the output are whole blocks or
// gzip members. ok is false if more may still be written.
func (w *Writer) whole() (n int64, ok bool) {
	if w.gz == nil {
		return w.size, true
	}
	return w.gz.whole.Load(), w.gz.failure() != nil // after which it writes no more
}

// Close completes the capture.
func (w *Writer) Close() error {
	if errors.Is(w.err, os.ErrClosed) {
		return nil
	}
	err := w.write()
	if w.gz != nil {
		if gzErr := w.gz.close(); err == nil && gzErr != nil {
			err = fmt.Errorf("write capture: %w", gzErr)
		}
	}
	w.err = os.ErrClosed
	return err
}
