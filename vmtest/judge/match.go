// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/vmtest/guest/object"
)

// matched is the outcome of comparing one value.
type matched struct {
	ok    bool
	want  string
	bytes []byte // the wanted value encoded like in an event, if there is only one
}

// match compares a value of an event with a wanted one.
func match(p *event.ParamInfo, v any, got []byte, enter bool) (matched, error) {
	if cmp, ok := v.(expr.Comparison); ok {
		return matchComparison(p, cmp, got)
	}
	if t, ok := v.(expr.Tuple); ok {
		return matchTuple(p, t, got)
	}
	b, err := encode(p, v, got)
	if err != nil {
		return matched{}, err
	}
	m := matched{ok: slices.Equal(b, got), want: string(p.AppendText(nil, b)), bytes: b}
	if !m.ok && enter && p.Names != nil && len(b) == len(got) {
		m.ok = unsignedOf(b)&^afterBits(p.Names) == unsignedOf(got)
	}
	return m, nil
}

// afterNames are the flags that are not known before the call has returned.
var afterNames = []string{"O_F_CREATED", "FD_UPPER_LAYER", "FD_LOWER_LAYER"}

var _ = event.MustValue("open_flags", afterNames...) // has them all

// afterBits returns their bits in a set.
func afterBits(set *event.NameSet) uint64 {
	var bits uint64
	for _, name := range afterNames {
		if v, ok := set.Value(name); ok {
			bits |= uint64(v)
		}
	}
	return bits
}

func unsignedOf(b []byte) uint64 {
	var full [8]byte
	if isLittleEndian {
		copy(full[:], b)
		return binary.LittleEndian.Uint64(full[:])
	}
	copy(full[8-min(len(b), 8):], b)
	return binary.BigEndian.Uint64(full[:])
}

var isLittleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func signedOf(b []byte) int64 {
	shift := 64 - 8*len(b)
	return int64(unsignedOf(b)<<shift) >> shift
}

// appendInt appends the low size bytes of v, little-endian.
func appendInt(b []byte, v uint64, size int) []byte {
	switch size {
	case 1:
		return append(b, byte(v))
	case 2:
		return binary.NativeEndian.AppendUint16(b, uint16(v))
	case 4:
		return binary.NativeEndian.AppendUint32(b, uint32(v))
	}
	return binary.NativeEndian.AppendUint64(b, v)
}

func matchComparison(p *event.ParamInfo, cmp expr.Comparison, got []byte) (matched, error) {
	m := matched{want: fmt.Sprintf("%s %s", cmp.Op, show(cmp.Bound))}
	if cmp.Op == "between" {
		m.want = fmt.Sprintf("between %s and %s", show(cmp.Bound), show(cmp.High))
	}
	t := p.Type
	if t == event.ParamDyn && len(got) > 0 && int(got[0]) < len(p.Dyn) {
		t, got = p.Dyn[got[0]].Type, got[1:]
	}
	size, fixed := t.Size()
	if !fixed {
		return m, fmt.Errorf("a comparison needs a number, not a %s", t)
	}
	if len(got) != size {
		return m, nil
	}
	v := int64(unsignedOf(got))
	if t.Signed() {
		v = signedOf(got)
	}
	var err error
	// Bounds may be negative, also those of sizes and times. Only 64-bit values need unsigned order.
	m.ok, err = cmp.Holds(v, !t.Signed() && size == 8 && v < 0)
	return m, err
}

func show(v any) string {
	if s, err := expr.ToText(v); err == nil {
		return s
	}
	return fmt.Sprint(v)
}

// encode returns the value as an event carries it.
func encode(p *event.ParamInfo, v any, got []byte) ([]byte, error) {
	if _, ok := v.(expr.Empty); ok {
		if p.Type == event.ParamDyn && len(got) == 1 && int(got[0]) < len(p.Dyn) {
			return got, nil // of whatever variant
		}
		return []byte{}, nil
	}
	if size, fixed := p.Type.Size(); fixed {
		n, err := expr.ToInt(v)
		if err != nil {
			return nil, err
		}
		if size < 8 && (n < -(1<<(8*size-1)) || n >= 1<<(8*size)) {
			return nil, fmt.Errorf("%d does not fit %d bytes", n, size)
		}
		return appendInt(nil, uint64(n), size), nil
	}
	switch p.Type {
	case event.ParamCharbuf, event.ParamFSPath, event.ParamFSRelPath:
		text, err := expr.ToText(v)
		if err != nil {
			return nil, err
		}
		text, _, _ = strings.Cut(text, "\x00")
		return append([]byte(text), 0), nil
	case event.ParamBytebuf, event.ParamCharbufArray, event.ParamCharbufPairArray:
		return expr.ToBytes(v)
	case event.ParamSockaddr:
		return wireAddress(v)
	case event.ParamFDList:
		return encodeFDList(v)
	case event.ParamNumbers:
		return encodeNumbers(v)
	case event.ParamDyn:
		if len(got) == 0 || int(got[0]) >= len(p.Dyn) {
			return nil, nil // equal to no value of an event
		}
		variant := &event.ParamInfo{Name: p.Name, Type: p.Dyn[got[0]].Type, Format: p.Dyn[got[0]].Format, Names: p.Names}
		b, err := encode(variant, v, got[1:])
		if err != nil {
			return nil, err
		}
		return append([]byte{got[0]}, b...), nil
	}
	return expr.ToBytes(v)
}

// wireAddress returns a socket address as events carry it.
func wireAddress(v any) ([]byte, error) {
	if f, ok := v.(factValue); ok {
		if w, err := f.Field("wire"); err == nil {
			return expr.ToBytes(w)
		}
	}
	if s, ok := v.(string); ok {
		a, err := object.ParseAddress(s)
		if err != nil {
			return nil, err
		}
		return a.Wire(), nil
	}
	return expr.ToBytes(v)
}

// encodeNumbers encodes [number, ...], or memory that has numbers of 64 bits.
func encodeNumbers(v any) ([]byte, error) {
	if f, ok := v.(factValue); ok {
		if b, ok := f.Plain().([]byte); ok && len(b)%8 == 0 {
			return b, nil
		}
	}
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("a list of numbers, or memory of numbers of 64 bits, is wanted")
	}
	out := []byte{}
	for _, e := range list {
		n, err := expr.ToInt(e)
		if err != nil {
			return nil, err
		}
		out = appendInt(out, uint64(n), 8)
	}
	return out, nil
}

// encodeFDList encodes [[fd, events], ...].
func encodeFDList(v any) ([]byte, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("a list of [fd, events] is wanted")
	}
	b := appendInt(nil, uint64(len(list)), 2)
	for i, e := range list {
		pair, ok := e.([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("element %d must be [fd, events]", i)
		}
		fd, err := expr.ToInt(pair[0])
		if err != nil {
			return nil, err
		}
		events, err := expr.ToInt(pair[1])
		if err != nil {
			return nil, err
		}
		b = appendInt(appendInt(b, uint64(fd), 8), uint64(events), 2)
	}
	return b, nil
}

// matchTuple compares a tuple. The kernel's addresses of unix sockets are compared
// if the guest could find them out; otherwise they must only be there.
func matchTuple(p *event.ParamInfo, t expr.Tuple, got []byte) (matched, error) {
	if p.Type != event.ParamSocktuple {
		return matched{}, fmt.Errorf("a tuple is wanted of a %s", p.Type)
	}
	from, err := wireAddress(t.From)
	if err != nil {
		return matched{}, err
	}
	to, err := wireAddress(t.To)
	if err != nil {
		return matched{}, err
	}
	if len(from) == 0 || len(to) == 0 || from[0] != to[0] {
		return matched{}, errors.New("the ends are of different families")
	}
	if from[0] != event.FamilyUnix {
		b := append(slices.Clone(from), to[1:]...)
		return matched{ok: slices.Equal(b, got), want: string(p.AppendText(nil, b)), bytes: b}, nil
	}
	m := matched{want: fmt.Sprintf("unix, %q", to[1:])}
	tuple := event.SockTuple(got)
	first, second, ok := tuple.Pointers()
	if !ok || !slices.Equal(got[17:], to[1:]) {
		return m, nil
	}
	// In outgoing tuples the local socket is the source, and its address or that of its peer is
	// first, unless the call named an address. In incoming ones it is the destination.
	out := isKernelAddress(second, t.From) && (first != 0) == (isConnected(t.From) && !isAddress(t.To))
	in := !isAddress(t.To) && isKernelAddress(first, t.To) && (second == 0 && !isConnected(t.To) || isConnected(t.To) && isKernelAddress(second, t.From))
	m.ok = out || in
	if !m.ok {
		m.want += " and other kernel addresses"
	}
	return m, nil
}

// isKernelAddress compares with the address of the socket in the kernel, if the guest could find it out.
func isKernelAddress(got uint64, socket any) bool {
	if f, ok := socket.(factValue); ok {
		if k, err := f.Field("kaddr"); err == nil {
			n, err := expr.ToInt(k)
			return err == nil && uint64(n) == got
		}
	}
	return got != 0
}

// isAddress reports whether the value is an address in memory, no socket of the guest.
func isAddress(v any) bool {
	f, ok := v.(factValue)
	if !ok {
		return false
	}
	_, noLen := f.Field("len")
	_, noFD := f.Field("fd")
	return noLen == nil && noFD != nil
}

// isConnected reports whether a socket of the guest has a peer.
func isConnected(socket any) bool {
	if f, ok := socket.(factValue); ok {
		if c, err := f.Field("connected"); err == nil {
			n, err := expr.ToInt(c)
			return err == nil && n != 0
		}
	}
	return true
}
