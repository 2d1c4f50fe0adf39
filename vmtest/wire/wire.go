// SPDX-License-Identifier: Apache-2.0

// Package wire sends messages between the harness and a guest over a byte
// stream that may contain garbage: a serial port carries output of the firmware, a
// dying kernel writes on it, and bytes are lost while nobody reads.
//
// A record is a 20-byte little-endian header and a payload:
//
//	u32 magic, u32 sequence, u32 length, u32 payload CRC, u32 CRC of the first 16 bytes
//
// Both checksums are CRC-32C. The header has its own, so that a damaged length is
// detected. Sequence numbers start at 1 and show which records are missing.
//
// A payload may be in memory that both sides share instead, see [Mailbox]: then the header has
// another magic number, and a u64 follows it, the payload's position.
package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
)

const (
	// MaxPayload is the largest payload a record may have, in bytes.
	MaxPayload = 16 << 20

	magic      = 0xfac1e5b9 // no byte is ASCII text, so console output does not look like a header
	magicBox   = 0xfac1e5ba // the payload is in the mailbox
	headerSize = 20
	placeSize  = 8 // of the position of a payload in the mailbox
	// excerptSize bounds the garbage that a [GarbledError] keeps for the report.
	excerptSize = 64
)

var (
	crcTable   = crc32.MakeTable(crc32.Castagnoli)
	magicBytes = binary.LittleEndian.AppendUint32(nil, magic)[1:] // of both magic numbers
)

// CaseLine is the prefix of the line in a machine's kernel log that names the next case.
const CaseLine = "scaplab: case "

// ErrTooLarge: a payload has more than [MaxPayload] bytes.
var ErrTooLarge = errors.New("record too large")

// GarbledError: bytes arrived that are not a valid record, or records are
// missing. The stream stays usable: the next call of [Reader.Next] continues after
// the damage.
type GarbledError struct {
	Reason  string // error of the first damaged record
	Skipped int    // bytes that were skipped
	Lost    uint32 // missing records, by sequence number; 0 if not known
	Excerpt []byte // the first skipped bytes
}

func (e *GarbledError) Error() string {
	s := "garbled data: " + e.Reason
	if e.Skipped > 0 {
		s += fmt.Sprintf(", %d bytes skipped: %q", e.Skipped, e.Excerpt)
	}
	if e.Lost > 0 {
		s += fmt.Sprintf(", %d records lost", e.Lost)
	}
	return s
}

// Append appends the record with the given sequence number and payload to dst.
func Append(dst []byte, seq uint32, payload []byte) []byte {
	return append(appendHeader(dst, magic, seq, payload), payload...)
}

func appendHeader(dst []byte, magic, seq uint32, payload []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = binary.LittleEndian.AppendUint32(dst, seq)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(payload, crcTable))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], crcTable))
}

// Writer writes records. It is safe for concurrent use.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	seq uint32
	buf []byte
	box *Mailbox
}

// Use makes the Writer put payloads into a mailbox. The reader of its records must use the same one.
func (w *Writer) Use(box *Mailbox) { w.box = box }

// NewWriter returns a Writer that writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one record with one call to the underlying writer.
func (w *Writer) Write(payload []byte) error {
	if len(payload) > MaxPayload {
		return fmt.Errorf("%w: %d bytes (at most %d)", ErrTooLarge, len(payload), MaxPayload)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seq++
	if at, ok := w.box.put(payload); ok {
		w.buf = binary.LittleEndian.AppendUint64(appendHeader(w.buf[:0], magicBox, w.seq, payload), at)
	} else {
		w.buf = Append(w.buf[:0], w.seq, payload)
	}
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("write record %d: %w", w.seq, err)
	}
	return nil
}

// Reader reads records. After garbage it finds the next valid one.
type Reader struct {
	r       io.Reader
	buf     []byte // read and not yet used
	used    int    // bytes of buf that belong to the last returned record
	next    uint32 // expected sequence number; 0 before the first record
	err     error  // error that ended reading
	skipped int
	reason  string
	excerpt []byte
	held    []byte // payload to return after its GarbledError
	box     *Mailbox
}

// Use makes the Reader accept payloads in a mailbox.
func (r *Reader) Use(box *Mailbox) { r.box = box }

// NewReader returns a Reader that reads from r. The first record may have any
// sequence number, so that a Reader can join a running stream.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next returns the payload of the next valid record, which is valid until the next
// call. Damage before that record is reported once as a [*GarbledError]; the
// call after it returns the record. At the end of the stream the error is io.EOF.
func (r *Reader) Next() ([]byte, error) {
	if held := r.held; held != nil {
		r.held = nil
		return held, nil
	}
	r.buf, r.used = r.buf[r.used:], 0
	for {
		if !r.fill(headerSize) {
			return nil, r.end("stream ends inside a record header")
		}
		if at := headerAt(r.buf); at != 0 {
			r.skip(at, "no record header")
			continue
		}
		boxed := r.buf[0] == byte(magicBox&0xff)
		seq := binary.LittleEndian.Uint32(r.buf[4:])
		length := binary.LittleEndian.Uint32(r.buf[8:])
		sum := binary.LittleEndian.Uint32(r.buf[12:])
		switch {
		case crc32.Checksum(r.buf[:16], crcTable) != binary.LittleEndian.Uint32(r.buf[16:]):
			r.skip(1, "wrong header checksum")
			continue
		case length > MaxPayload:
			r.skip(1, fmt.Sprintf("record of %d bytes (at most %d)", length, MaxPayload))
			continue
		}
		size := headerSize + int(length)
		if boxed {
			size = headerSize + placeSize
		}
		if !r.fill(size) {
			if !errors.Is(r.err, io.EOF) {
				return nil, r.end("")
			}
			r.skip(1, fmt.Sprintf("record %d cut short by the end of the stream", seq))
			continue
		}
		payload := r.buf[headerSize:size:size]
		if boxed {
			payload = r.box.take(binary.LittleEndian.Uint64(payload), int(length))
		}
		if crc32.Checksum(payload, crcTable) != sum {
			r.skip(1, fmt.Sprintf("wrong checksum of record %d", seq))
			continue
		}
		var lost uint32
		if r.next != 0 && seq != r.next {
			if r.reason == "" {
				r.reason = fmt.Sprintf("record %d where %d was expected", seq, r.next)
			}
			if lost = seq - r.next; lost > 1<<31 { // the sender started again
				lost = 0
			}
		}
		r.next = seq + 1
		r.used = size
		if err := r.takeGarbled(lost); err != nil {
			r.held = payload
			return nil, err
		}
		return payload, nil
	}
}

// headerAt returns the index of the first header in b, or, without one, of the last bytes, which may be
// the beginning of a header.
func headerAt(b []byte) int {
	for from := 1; ; from++ { // the magic numbers differ in their first byte
		at := bytes.Index(b[from:], magicBytes)
		if at < 0 {
			return len(b) - len(magicBytes)
		}
		from += at
		if first := b[from-1]; first == byte(magic&0xff) || first == byte(magicBox&0xff) {
			return from - 1
		}
	}
}

// fill reads until the buffer has n bytes.
func (r *Reader) fill(n int) bool {
	for len(r.buf) < n && r.err == nil {
		if cap(r.buf)-len(r.buf) < 4<<10 { // in steps: a claimed length must not cause a large allocation
			r.buf = append(make([]byte, 0, 2*len(r.buf)+64<<10), r.buf...)
		}
		var k int
		k, r.err = r.r.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+k]
	}
	return len(r.buf) >= n
}

// skip skips n bytes.
func (r *Reader) skip(n int, reason string) {
	if r.reason == "" {
		r.reason = reason
	}
	r.skipped += n
	r.excerpt = append(r.excerpt, r.buf[:min(n, excerptSize-len(r.excerpt))]...)
	r.buf = r.buf[n:]
}

// end handles the end or an error of a stream with unused bytes.
func (r *Reader) end(reason string) error {
	if !errors.Is(r.err, io.EOF) {
		return fmt.Errorf("read record: %w", r.err)
	}
	if len(r.buf) > 0 {
		r.skip(len(r.buf), reason)
	}
	if err := r.takeGarbled(0); err != nil {
		return err
	}
	return io.EOF
}

func (r *Reader) takeGarbled(lost uint32) error {
	if r.reason == "" {
		return nil
	}
	e := &GarbledError{Reason: r.reason, Skipped: r.skipped, Lost: lost, Excerpt: r.excerpt}
	r.reason, r.skipped, r.excerpt = "", 0, nil
	return e
}

// Conn transports messages in records. Each has a kind and a value, JSON or bytes.
type Conn struct {
	*Reader
	*Writer
}

// NewConn returns a Conn over a byte stream in both directions.
func NewConn(rw io.ReadWriter) *Conn { return &Conn{NewReader(rw), NewWriter(rw)} }

// Send writes v as one message of the given kind. It is safe for concurrent use.
func (c *Conn) Send(kind string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("send %s: %w", kind, err)
	}
	return c.SendBytes(kind, body)
}

// SendBytes is [Conn.Send] for a value that is not JSON: [Conn.Receive] returns the bytes as they are.
func (c *Conn) SendBytes(kind string, body []byte) error {
	if len(kind) == 0 || len(kind) > 255 {
		return fmt.Errorf("send message: kind %q must have 1 to 255 bytes", kind)
	}
	payload := make([]byte, 0, 1+len(kind)+len(body))
	payload = append(payload, byte(len(kind)))
	payload = append(payload, kind...)
	return c.Write(append(payload, body...))
}

// Receive returns the kind and the value of the next message, which is valid until
// the next call. Errors are those of [Reader.Next]; a record that is not a
// message is a [*GarbledError].
func (c *Conn) Receive() (kind string, body json.RawMessage, err error) {
	payload, err := c.Next()
	if err != nil {
		return "", nil, err
	}
	if len(payload) == 0 || payload[0] == 0 || len(payload) < 1+int(payload[0]) {
		return "", nil, &GarbledError{Reason: fmt.Sprintf("record of %d bytes is not a message", len(payload))}
	}
	n := 1 + int(payload[0])
	return string(payload[1:n]), payload[n:], nil
}
