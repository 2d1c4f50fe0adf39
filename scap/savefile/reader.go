// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

// Options of a [Reader]. The zero value is right for most readers.
type Options struct {
	// Raw delivers events as they are in the file: not converted, and with enter
	// events and unused types. Only the header gets a count of params, and the
	// byte order becomes the host's.
	Raw bool
	// Defaults gives params that an older capture does not have the values that the
	// reference invents, such as descriptor 0 where the enter event was lost, for
	// readers that expect a value. Without it such params are empty.
	Defaults bool
}

// Counts has what a Reader has read so far.
type Counts struct {
	Blocks    uint64 `json:"blocks"`   // of any kind
	Sections  uint64 `json:"sections"` // captures in the file, one after the other
	Events    uint64 `json:"events"`   // event blocks
	Delivered uint64 `json:"delivered"`
	Hidden    uint64 `json:"hidden"`    // delivered, to update the state only
	Unknown   uint64 `json:"unknown"`   // delivered, of a type that is not in the table
	Converted uint64 `json:"converted"` // delivered in another form than in the file
	Merged    uint64 `json:"merged"`    // enter events, whose params come with the exit event
	Obsolete  uint64 `json:"obsolete"`  // left out: unused types and enter events without information

	Corrupt       uint64 `json:"corrupt"`        // left out: inconsistent events
	Unconverted   uint64 `json:"unconverted"`    // events that no conversion rule matches: exit events are delivered unchanged, enter events left out
	BadRecords    uint64 `json:"bad_records"`    // left out: records of users, processes, fds, interfaces
	SkippedBlocks uint64 `json:"skipped_blocks"` // of unknown type
	StateCut      uint64 `json:"state_cut"`      // left out: records of a state that is larger than real ones
	BadEnds       uint64 `json:"bad_ends"`       // blocks whose length at the end is wrong, read nevertheless
	Compressed    bool   `json:"compressed"`
	OtherOrder    bool   `json:"other_order"` // the capture has the other byte order
	Minor         uint16 `json:"minor"`
}

// Reader reads a capture. It is a scap.Source; events are valid until the next
// reading call.
type Reader struct {
	path   string // for messages
	in     *input
	gz     *gzip.Reader
	closer io.Closer
	opts   Options

	order   binary.ByteOrder
	foreign bool   // order is not the host's
	schema  string // see Schema
	state   *proc.State
	byTID   map[event.PID]int // index in state.Threads

	stateSize int64    // bytes of memory, about
	unknowns  []uint32 // types of blocks
	counts    Counts

	conv  *converter
	arena []byte // events that had to be rebuilt
	ev    event.Event
	fatal error
}

var _ scap.Source = (*Reader)(nil)

// Open opens a capture file and reads up to its first event; "-" is standard
// input.
func Open(path string, opts Options) (*Reader, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
	}
	r, err := newReader(f, path, opts)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.closer = f
	return r, nil
}

// NewReader reads a capture from src up to its first event. src may be a pipe.
func NewReader(src io.Reader, opts Options) (*Reader, error) { return newReader(src, "", opts) }

func newReader(src io.Reader, path string, opts Options) (*Reader, error) {
	r := &Reader{path: path, in: newInput(src), opts: opts, conv: newConverter(opts.Defaults)}
	if err := r.in.fill(2); err == nil && r.in.buf[0] == 0x1f && r.in.buf[1] == 0x8b {
		rest := r.in.buf[:r.in.w]
		packed := &counter{src: io.MultiReader(bytes.NewReader(rest), src)}
		gz, err := gzip.NewReader(packed)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, r.failure(0, "read gzip header", truncation(err))
		}
		r.gz = gz
		r.in = newInput(gz)
		r.in.packed = packed
		r.counts.Compressed = true
	} else if errors.Is(err, io.EOF) {
		return nil, r.failure(0, "read section header block: the file is empty", ErrTruncated)
	} else if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, r.failure(0, "read section header block", err)
	}
	if err := r.readSection(); err != nil {
		return nil, err
	}
	return r, nil
}

// truncation converts the errors of a source that ends too early or is not valid gzip
// to ErrTruncated and ErrCorrupt.
func truncation(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	case errors.As(err, &corrupt), errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// State returns the state of the machine at the start of the section. The caller must
// not change it. In a file with several captures, each section has its own state.
func (r *Reader) State() *proc.State { return r.state }

// Schema returns the version of the schema of all events that the writer of the section had, such as "1.0.0"
// (event.OwnSchemaVersion): this project's native captures state it. It is "" in others.
func (r *Reader) Schema() string { return r.schema }

// Section returns the number of the current capture in the file, from 1. All events
// of one batch are of the same section.
func (r *Reader) Section() int { return int(r.counts.Sections) }

// Counts returns the counts so far.
func (r *Reader) Counts() Counts { return r.counts }

// Offset returns the offset of the next block, in bytes of the uncompressed stream.
func (r *Reader) Offset() int64 { return r.in.offset() }

// Stats counts corrupt events as Drops.Other.
func (r *Reader) Stats() (scap.Stats, error) {
	return scap.Stats{
		Seen:      r.counts.Delivered + r.counts.Corrupt,
		Delivered: r.counts.Delivered,
		Drops:     scap.Drops{Other: r.counts.Corrupt},
	}, nil
}

// Close closes the file that [Open] opened. A second Close returns os.ErrClosed.
func (r *Reader) Close() error {
	if errors.Is(r.fatal, os.ErrClosed) {
		return os.ErrClosed
	}
	r.fatal = os.ErrClosed
	r.in = newInput(bytes.NewReader(nil))
	if r.closer != nil {
		return r.closer.Close()
	}
	return nil
}

// Next returns the next event.
func (r *Reader) Next() (*event.Event, error) {
	if err := r.NextInto(&r.ev); err != nil {
		return nil, err
	}
	return &r.ev, nil
}

// NextInto is Next into the caller's Event.
func (r *Reader) NextInto(ev *event.Event) error {
	r.arena = r.arena[:0]
	_, err := r.next(ev, true)
	return err
}

// ReadBatch returns the events in the read buffer, so a batch can be shorter than evs
// before the end.
func (r *Reader) ReadBatch(evs []event.Event) (int, error) {
	if len(evs) == 0 {
		return 0, nil
	}
	r.arena = r.arena[:0]
	if _, err := r.next(&evs[0], true); err != nil {
		return 0, err
	}
	for n := 1; ; n++ {
		if n += r.current(evs[n:]); n == len(evs) {
			return n, nil
		}
		if ok, err := r.next(&evs[n], false); !ok || err != nil {
			return n, nil // the next call returns an error again
		}
	}
}

// current reads the plain events at the start of the buffer that are current, or become so
// by what converter.quick does, and returns their number: next, for nearly all events and
// in less time.
func (r *Reader) current(evs []event.Event) (n int) {
	if r.foreign || r.fatal != nil {
		return 0
	}
	stored := 0
	b := r.in.buf[r.in.r:r.in.w]
	for n < len(evs) && len(b) >= minEventBlock {
		h := (*[minEventBlock]byte)(b)
		size := int(binary.NativeEndian.Uint32(h[4:]))
		if binary.NativeEndian.Uint32(h[:]) != eventV2 || size < minEventBlock || size&3 != 0 || size > min(maxSmallBlock+8, len(b)) {
			break
		}
		ev := &evs[n]
		if ev.Reset(b[10:size-4], int(binary.NativeEndian.Uint16(h[8:]))) != nil {
			break
		}
		if ev.NumParams() < int(currentParams[binary.NativeEndian.Uint16(h[10+abi.EventType:])]) {
			if r.opts.Raw {
				break
			}
			var out outcome
			var ok bool
			if r.arena, out, ok = r.conv.quick(ev, r.arena); !ok {
				break
			}
			if out == merged {
				stored++
				b = b[size:]
				continue
			}
			r.counts.Converted++
		}
		b = b[size:]
		n++
	}
	r.in.r = r.in.w - len(b)
	r.counts.Blocks += uint64(n + stored)
	r.counts.Events += uint64(n + stored)
	r.counts.Merged += uint64(stored)
	r.counts.Delivered += uint64(n)
	return n
}

// next reads the next event into ev. If first is false, the caller already holds
// events of this batch: then next returns ok == false rather than move the buffer or
// leave the section.
func (r *Reader) next(ev *event.Event, first bool) (ok bool, err error) {
	if r.fatal != nil {
		return false, r.fatal
	}
	in := r.in
	for {
		b := in.buf[in.r:in.w]
		if len(b) < 8 {
			if !first {
				return false, nil
			}
			if err := r.fill(8, "read block header"); err != nil {
				return false, err
			}
			b = in.buf[in.r:in.w]
		}
		if r.foreign || binary.NativeEndian.Uint32(b) != eventV2 {
			// Nearly all blocks are plain events; this is another block.
			ok, again, err := r.nextUnusual(ev, first)
			if !again {
				return ok, err
			}
			continue
		}
		size := binary.NativeEndian.Uint32(b[4:])
		if size < minEventBlock || size&3 != 0 || size > maxSmallBlock+8 {
			if ok, err := r.badLength(eventV2, size, first); !ok {
				return false, err
			}
			continue
		}
		if len(b) < int(size) {
			if !first {
				return false, nil
			}
			if err := r.fill(int(size), "read event block"); err != nil {
				return false, err
			}
			b = in.buf[in.r:in.w]
		}
		in.r += int(size)
		r.counts.Blocks++
		r.counts.Events++
		cpu := int(binary.NativeEndian.Uint16(b[8:]))
		if ev.Reset(b[10:size-4], cpu) != nil {
			r.counts.Corrupt++
			continue
		}
		if r.deliver(ev) {
			return true, nil
		}
	}
}

// deliver converts ev if it is not current, and reports whether ev is to be delivered.
func (r *Reader) deliver(ev *event.Event) bool {
	t := ev.Type()
	d := decisions[t]
	if d.kind == pass || d.kind == exact && ev.NumParams() >= int(d.params) || r.opts.Raw {
		r.counts.Delivered++
		if d.unknown {
			r.counts.Unknown++
		}
		return true
	}
	if d.kind == drop {
		r.counts.Obsolete++
		return false
	}
	hidden := ev.Hidden()
	var out outcome
	r.arena, out = r.conv.convert(ev, r.arena)
	switch out {
	case converted:
		r.counts.Converted++
	case merged:
		r.counts.Merged++
		return false
	case obsolete:
		r.counts.Obsolete++
		return false
	case corrupt:
		r.counts.Corrupt++
		return false
	case unconverted:
		r.counts.Unconverted++
		if t.Enter() {
			return false
		}
	}
	ev.SetHidden(hidden)
	r.counts.Delivered++
	return true
}

// minEventBlock is the size of a block with a version 1 event without params.
const minEventBlock = blockOverhead + 2 + event.HeaderSize - 4

// nextUnusual reads a block that is not a plain event in the host's byte order; its
// header is in the buffer. again means that the caller goes on with the next block.
func (r *Reader) nextUnusual(ev *event.Event, first bool) (ok, again bool, err error) {
	in := r.in
	t := canonical(r.order.Uint32(in.buf[in.r:]))
	size := r.order.Uint32(in.buf[in.r+4:])
	if !isEvent(t) {
		if !first {
			return false, false, nil
		}
		if r.isSectionHeader() {
			err = r.readSection()
		} else {
			err = r.readMeta(t, size)
		}
		if err != nil {
			return false, false, err
		}
		return false, true, nil
	}
	large := t == eventLarge || t == eventFlgLarge
	if size < minEventBlock || size&3 != 0 || size > maxSmallBlock+8 && (!large || size > maxLargeBlock) {
		if ok, err := r.badLength(t, size, first); !ok {
			return false, false, err
		}
		return false, true, nil
	}
	if in.avail() < int(size) {
		if !first {
			return false, false, nil
		}
		if err := r.fill(int(size), "read "+blockName(t)); err != nil {
			return false, false, err
		}
	}
	body := in.buf[in.r+8 : in.r+int(size)-4]
	in.r += int(size)
	r.counts.Blocks++
	r.counts.Events++
	cpu := int(r.order.Uint16(body))
	body = body[2:]
	flags := uint32(0)
	if t == eventFlagsV1 || t == eventFlagsV2 || t == eventFlgLarge {
		flags = r.order.Uint32(body)
		body = body[4:]
	}
	valid := true
	switch {
	case t == eventV1 || t == eventFlagsV1:
		body, valid = r.upgrade(body)
	case r.foreign:
		body, valid = r.swap(body)
	}
	if !valid || ev.Reset(body, cpu) != nil {
		r.counts.Corrupt++
		return false, true, nil
	}
	ev.SetHidden(flags&flagHidden != 0)
	if !r.deliver(ev) {
		return false, true, nil
	}
	if flags&flagHidden != 0 {
		r.counts.Hidden++
	}
	return true, false, nil
}

// badLength skips an event block whose length is valid for a block but not for an
// event. A length that is not valid for any block is an error.
func (r *Reader) badLength(t, size uint32, first bool) (ok bool, err error) {
	if !first {
		return false, nil
	}
	if size < blockOverhead || size&3 != 0 {
		return false, r.fail(fmt.Sprintf("%s of %d bytes", blockName(t), size), ErrCorrupt)
	}
	if err := r.skip(t, size); err != nil {
		return false, err
	}
	r.counts.Events++
	r.counts.Corrupt++
	return true, nil
}

// unknown counts a block of unknown type.
func (r *Reader) unknown(t uint32) {
	r.counts.SkippedBlocks++
	if len(r.unknowns) < maxUnknowns && !slices.Contains(r.unknowns, t) {
		r.unknowns = append(r.unknowns, t)
	}
}

// UnknownBlocks returns the types of blocks that were skipped, at most the first 16.
func (r *Reader) UnknownBlocks() []uint32 { return r.unknowns }

func (r *Reader) unknownNames() string {
	var names []string
	for _, t := range r.unknowns {
		names = append(names, fmt.Sprintf("%#x", t))
	}
	return strings.Join(names, " ")
}

// skip skips a whole block, whose lengths at start and end must agree.
func (r *Reader) skip(t, size uint32) error {
	at := r.in.offset()
	err := r.in.discard(int64(size) - 4)
	if err == nil {
		err = r.in.fill(4)
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		// The skipped bytes are gone: unlike elsewhere, reading cannot go on
		// once the file has grown.
		r.fatal = r.failure(at, fmt.Sprintf("skip %s of %d bytes", blockName(t), size), truncation(err))
		return r.fatal
	}
	return r.end(at, size, "skip "+blockName(t))
}

// fill makes n bytes available. At the end of the input no bytes are lost: the same
// call may succeed later.
func (r *Reader) fill(n int, step string) error {
	err := r.in.fill(n)
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) && r.in.avail() == 0 {
		return io.EOF
	}
	// A truncated compressed stream may end after a whole block.
	if errors.Is(err, io.ErrUnexpectedEOF) && (r.gz == nil || r.in.avail() > 0) {
		step = fmt.Sprintf("%s: %d bytes expected, %d there", step, n, r.in.avail())
	}
	return r.failure(r.in.offset(), step, truncation(err))
}

func (r *Reader) failure(at int64, step string, err error) error {
	return &Error{r.path, at, step, err}
}

func (r *Reader) fail(step string, err error) error {
	r.fatal = r.failure(r.in.offset(), step, err)
	return r.fatal
}

const maxUnknowns = 16

// magic is the first 4 bytes of a section, the same in both byte orders.
var magic = []byte{0x0a, 0x0d, 0x0d, 0x0a}

func (r *Reader) isSectionHeader() bool { return bytes.HasPrefix(r.in.buf[r.in.r:r.in.w], magic) }

// readSection reads a section header and all blocks up to the first event.
func (r *Reader) readSection() error {
	if err := r.readHeader(); err != nil {
		return err
	}
	r.state, r.stateSize = &proc.State{}, 0
	r.byTID = map[event.PID]int{}
	r.conv.reset()
	blocks, unknown := r.counts.Blocks, r.counts.SkippedBlocks
	for {
		err := r.fill(8, "read block header")
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		b := r.in.buf[r.in.r:r.in.w]
		if err != nil || r.isSectionHeader() {
			// Network captures have the same section header.
			if n := r.counts.SkippedBlocks - unknown; n > 0 && n == r.counts.Blocks-blocks {
				return r.fail(fmt.Sprintf("read section: no block is of a capture of system events (types %s)", r.unknownNames()), ErrNotCapture)
			}
			return nil // no events; the next read returns io.EOF
		}
		t := canonical(r.order.Uint32(b))
		if isEvent(t) {
			return nil
		}
		if err := r.readMeta(t, r.order.Uint32(b[4:])); err != nil {
			return err
		}
	}
}

func (r *Reader) readHeader() error {
	const step = "read section header block"
	if err := r.fill(12, step); err != nil {
		if errors.Is(err, io.EOF) {
			err = r.failure(r.in.offset(), step, ErrTruncated)
		} else if n := r.in.avail(); n >= 2 && !bytes.HasPrefix(r.in.buf[r.in.r:r.in.w], magic[:min(n, len(magic))]) {
			err = r.failure(r.in.offset(), step, ErrNotCapture) // a single byte may also be the start of gzip
		}
		return err
	}
	b := r.in.buf[r.in.r:]
	if !r.isSectionHeader() {
		return r.fail(fmt.Sprintf("the file begins with % x", b[:4]), ErrNotCapture)
	}
	switch uint32(byteOrder) {
	case binary.LittleEndian.Uint32(b[8:]):
		r.order = binary.LittleEndian
	case binary.BigEndian.Uint32(b[8:]):
		r.order = binary.BigEndian
	default:
		return r.fail(fmt.Sprintf("read section header block: byte order is % x", b[8:12]), ErrNotCapture)
	}
	r.foreign = binary.NativeEndian.Uint32(b[8:]) != byteOrder
	size := r.order.Uint32(b[4:])
	if size < 28 || size&3 != 0 {
		return r.fail(fmt.Sprintf("section header block of %d bytes", size), ErrCorrupt)
	}
	if err := r.fill(28, step); err != nil {
		return err
	}
	b = r.in.buf[r.in.r:]
	if major := r.order.Uint16(b[12:]); major > majorVersion {
		return r.fail(fmt.Sprintf("read section header block: version %d.%d", major, r.order.Uint16(b[14:])), ErrVersion)
	}
	r.counts.Minor = r.order.Uint16(b[14:])
	r.counts.OtherOrder = r.foreign
	r.schema = ""
	if size > 28 && size <= maxOptions && r.in.fill(int(size)) == nil { // skip tells what is missing
		r.schema = writerSchema(r.in.buf[r.in.r+24:r.in.r+int(size)-4], r.order)
	}
	if err := r.skip(sectionHeader, size); err != nil {
		return err
	}
	r.counts.Sections++
	return nil
}

// readMeta reads a block that is not an event.
func (r *Reader) readMeta(t, size uint32) error {
	if size < blockOverhead || size&3 != 0 {
		return r.fail(fmt.Sprintf("%s of %d bytes", blockName(t), size), ErrCorrupt)
	}
	switch {
	case blockNames[t] == "":
		r.unknown(t)
		return r.skip(t, size)
	case t != machineInfo && t != interfacesV1 && t != interfacesV2:
		return r.readList(t, size)
	case size > maxWholeBlock:
		r.counts.BadRecords++
		return r.skip(t, size)
	}
	step := "read " + blockName(t)
	if err := r.fill(int(size), step); err != nil {
		return err
	}
	at := r.in.offset()
	if t == interfacesV2 && r.order.Uint32(r.in.buf[r.in.r+int(size)-4:]) != size && r.readShortInterfaces(size) {
		return nil
	}
	b := r.in.buf[r.in.r : r.in.r+int(size)]
	c := cursor{b: b[8 : size-4], order: r.order}
	if t == machineInfo {
		if m, ok := decodeMachine(&c); ok {
			r.state.Machine = m
		} else {
			r.counts.BadRecords++
		}
	} else {
		r.interfaces(&c, t == interfacesV2)
	}
	r.in.r += int(size) - 4
	return r.end(at, size, step)
}

const (
	// The limit for blocks that are read as a whole, apart from events. Ten thousand
	// interfaces have 1 MB.
	maxWholeBlock = 16 << 20
	// The limit for a record of a list. A thread has less than 20 KiB.
	maxRecord = 64 << 10

	// The limit on the memory of the state, about. A machine with 100,000 processes and
	// a million open files takes 400 MB.
	maxState = 512 << 20
	// The limit for a compressed capture: a few bytes unpack to very many. Real states
	// take less than 40 bytes of memory for each compressed one.
	minPackedState, packedStateRatio = 64 << 20, 64
)

// admit reports whether a record with size bytes of memory is within the limits on the
// state. What is not is counted and left out.
func (r *Reader) admit(size int) bool {
	limit := int64(maxState)
	if p := r.in.packed; p != nil {
		limit = min(limit, minPackedState+packedStateRatio*p.n)
	}
	if r.stateSize+int64(size) > limit {
		r.counts.StateCut++
		return false
	}
	r.stateSize += int64(size)
	return true
}

// readList reads a block that is a list of records, record by record: the block may be
// much longer than what it contains is worth.
func (r *Reader) readList(t, size uint32) error {
	step := "read " + blockName(t)
	// A list of usual size is there as a whole before it is used, so that reading can go
	// on once a truncated file has grown.
	if err := r.fill(int(min(size, maxWholeBlock)), step); err != nil {
		return err
	}
	at := r.in.offset()
	r.in.r += 8
	left := int64(size) - blockOverhead
	list := r.list(t)
	if (t == fdListV1 || t == fdListV2) && left >= 8 {
		c := cursor{b: r.in.buf[r.in.r : r.in.r+8], order: r.order}
		if list.thread = r.known(c.pid()); list.thread == nil {
			r.counts.BadRecords++
			list.decode = nil
		}
		r.in.r += 8
		left -= 8
	} else if t == fdListV1 || t == fdListV2 {
		r.counts.BadRecords++
		list.decode = nil
	}
	for left >= 4 && list.decode != nil {
		n := int(min(left, maxRecord))
		if err := r.in.fill(n); err != nil {
			return r.broken(at, step, err)
		}
		used := r.record(list, r.in.buf[r.in.r:r.in.r+n], left)
		if used == 0 { // where the next record begins is not known
			break
		}
		if err := r.in.discard(used); err != nil {
			return r.broken(at, step, err)
		}
		left -= used
	}
	if err := r.in.discard(left); err != nil {
		return r.broken(at, step, err)
	}
	return r.end(at, size, step)
}

// list says how the records of a list are read.
type list struct {
	sized  bool // each begins with its length
	decode func(c *cursor)
	thread *proc.Thread // of an fd list
}

func (r *Reader) list(t uint32) *list {
	l := &list{}
	switch t {
	case usersV1, usersV2:
		l.sized = t == usersV2
		r.state.Users, r.state.Groups = nil, nil
		l.decode = func(c *cursor) {
			if r.admit(len(c.b) + int(unsafe.Sizeof(proc.User{}))) {
				decodeUser(c, r.state)
			}
		}
	case fdListV1, fdListV2:
		l.sized = t == fdListV2
		l.decode = func(c *cursor) {
			fd := decodeFD(c, l.sized)
			if !c.failed && r.admit(len(fd.Name)+int(unsafe.Sizeof(fd))) {
				l.thread.FDs = append(l.thread.FDs, fd)
			}
		}
	default:
		version := procVersion(t)
		l.sized = version >= 9
		l.decode = func(c *cursor) {
			th := decodeThread(c, version)
			if !c.failed {
				r.thread(&th)
			}
		}
	}
	return l
}

// record reads the record at the start of window, of a list with left bytes. It returns
// the bytes of the record; 0 if they are not known.
func (r *Reader) record(l *list, window []byte, left int64) (used int64) {
	c := cursor{b: window, order: r.order}
	if !l.sized {
		l.decode(&c)
		if c.failed {
			r.counts.BadRecords++
			return 0
		}
		return int64(len(window) - len(c.b))
	}
	used = int64(c.u32())
	if used < 4 || used > left {
		r.counts.BadRecords++
		return 0
	}
	if used > int64(len(window)) {
		r.counts.BadRecords++
		return used
	}
	c.b = window[4:used]
	l.decode(&c)
	if c.failed {
		r.counts.BadRecords++
	}
	return used
}

// broken ends reading: the list that begins at at is partly used.
func (r *Reader) broken(at int64, step string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.fatal = r.failure(at, step, truncation(err))
	return r.fatal
}

// end reads the length at the end of the block that begins at at. A wrong one alone
// costs nothing: what follows must look like a block, or be the end of the capture.
func (r *Reader) end(at int64, size uint32, step string) error {
	if err := r.in.fill(4); err != nil {
		return r.broken(at, step, err)
	}
	if end := r.order.Uint32(r.in.buf[r.in.r:]); end != size {
		err := r.in.fill(12)
		last := errors.Is(err, io.ErrUnexpectedEOF) && r.in.avail() == 4
		if !last && (err != nil || !r.isBlock(r.in.buf[r.in.r+4:])) {
			r.fatal = r.failure(at, fmt.Sprintf("%s of %d bytes: it ends with %d", step, size, end), ErrCorrupt)
			return r.fatal
		}
		r.counts.BadEnds++
	}
	r.in.r += 4
	r.counts.Blocks++
	return nil
}

// isBlock reports whether b looks like the start of a block.
func (r *Reader) isBlock(b []byte) bool {
	if bytes.HasPrefix(b, magic) {
		return true
	}
	size := r.order.Uint32(b[4:])
	return blockNames[canonical(r.order.Uint32(b))] != "" && size >= blockOverhead && size&3 == 0
}

func (r *Reader) thread(t *proc.Thread) {
	text := len(t.Comm) + len(t.Exe) + len(t.ExePath) + len(t.Args) + len(t.Env) + len(t.Cgroups) + len(t.CWD) + len(t.Root)
	const inIndex = 32 // bytes for its tid
	if !r.admit(text + inIndex + int(unsafe.Sizeof(*t))) {
		return
	}
	if i, ok := r.byTID[t.TID]; ok {
		t.FDs = r.state.Threads[i].FDs
		r.state.Threads[i] = *t
		return
	}
	r.byTID[t.TID] = len(r.state.Threads)
	r.state.Threads = append(r.state.Threads, *t)
}

// known returns the thread of that id, without its open files of an earlier list; nil if
// the state does not have it.
func (r *Reader) known(tid event.PID) *proc.Thread {
	i, ok := r.byTID[tid]
	if !ok {
		return nil
	}
	r.state.Threads[i].FDs = nil
	return &r.state.Threads[i]
}

func (r *Reader) interfaces(c *cursor, sized bool) {
	r.state.Interfaces = nil
	for len(c.b) >= 4 {
		rec := *c
		if sized {
			n := int64(c.u32())
			if n > int64(len(c.b)) {
				r.counts.BadRecords++
				return
			}
			rec = cursor{b: c.take(int(n)), order: c.order}
		}
		in := decodeInterface(&rec)
		if rec.failed {
			r.counts.BadRecords++
			if !sized {
				return
			}
			continue
		}
		if !r.admit(len(in.Name) + int(unsafe.Sizeof(in))) {
			return
		}
		r.state.Interfaces = append(r.state.Interfaces, in)
		if !sized {
			c.b = rec.b
		}
	}
}

// readShortInterfaces reads a list whose length field is too small by 4 for each
// entry. libs writes such a block when it saves an old capture again.
func (r *Reader) readShortInterfaces(size uint32) bool {
	end := 8 // of the entries so far
	for n := 1; end < int(size)+4*n; n++ {
		if r.in.fill(end+8) != nil {
			break
		}
		b := r.in.buf[r.in.r:]
		if entry := r.order.Uint32(b[end:]); entry > maxString+64 {
			break
		} else {
			end += 4 + int(entry)
		}
		total := roundUp(end+4, 4)
		if r.in.fill(total) != nil {
			break
		}
		b = r.in.buf[r.in.r:]
		if total == int(size)+4*n && r.order.Uint32(b[total-4:]) == size {
			r.interfaces(&cursor{b: b[8:end], order: r.order}, true)
			r.in.r += total
			r.counts.Blocks++
			return true
		}
	}
	return false
}
