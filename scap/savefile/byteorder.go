// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"encoding/binary"
	"slices"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap/event"
)

// oldHeaderSize is the size of the event header in version 1 blocks, which has no
// count of params.
const oldHeaderSize = event.HeaderSize - 4

// upgrade adds the count of params to an event of a version 1 block, and converts it
// to the host's byte order. The result is in the arena.
//
// upgrade tries counts downwards from the type's current number of params, and takes
// the first with which lengths and params fill the event exactly.
func (r *Reader) upgrade(b []byte) ([]byte, bool) {
	if len(b) < oldHeaderSize {
		return nil, false
	}
	size := r.order.Uint32(b[abi.EventLen:])
	t := event.Type(r.order.Uint16(b[abi.EventType:]))
	if t == 280 || t == 286 {
		size -= 3 // libs counted too much for notification and infrastructure
	}
	info := event.Lookup(t)
	if info == nil || size < oldHeaderSize || int64(size) > int64(len(b)) {
		return nil, false
	}
	lens := b[oldHeaderSize:size]
	n := len(info.Params)
	for ; ; n-- {
		if n < 0 {
			return nil, false
		}
		if 2*n > len(lens) {
			continue
		}
		sum := 2 * n
		for i := range n {
			sum += int(r.order.Uint16(lens[2*i:]))
		}
		if sum == len(lens) {
			break
		}
		if sum < len(lens) {
			return nil, false
		}
	}
	return r.rebuild(b[:oldHeaderSize], n, false, lens)
}

// swap converts an event from the other byte order to the host's. The result is in
// the arena.
func (r *Reader) swap(b []byte) ([]byte, bool) {
	if len(b) < event.HeaderSize {
		return nil, false
	}
	size := r.order.Uint32(b[abi.EventLen:])
	n := r.order.Uint32(b[abi.EventNumParams:])
	wide := event.Type(r.order.Uint16(b[abi.EventType:])).LargePayload()
	width := 2
	if wide {
		width = 4
	}
	if n > event.MaxParams || int64(size) > int64(len(b)) || int64(size) < int64(event.HeaderSize+int(n)*width) {
		return nil, false
	}
	return r.rebuild(b, int(n), wide, b[event.HeaderSize:size])
}

// rebuild builds an event from a header and rest, which holds the lengths of n params
// and their values.
func (r *Reader) rebuild(header []byte, n int, wide bool, rest []byte) ([]byte, bool) {
	o := binary.NativeEndian
	at := len(r.arena)
	t := event.Type(r.order.Uint16(header[abi.EventType:]))
	b := o.AppendUint64(r.arena, r.order.Uint64(header))
	b = o.AppendUint64(b, r.order.Uint64(header[abi.EventTID:]))
	b = o.AppendUint32(b, uint32(event.HeaderSize+len(rest)))
	b = o.AppendUint16(b, uint16(t))
	b = o.AppendUint32(b, uint32(n))
	b = append(b, rest...)
	r.arena = b
	b = b[at:len(b):len(b)]
	if !r.foreign {
		return b, true
	}
	info := event.Lookup(t)
	lens := b[event.HeaderSize:]
	width := 2
	if wide {
		width = 4
	}
	values := lens[n*width:]
	for i := range n {
		slices.Reverse(lens[i*width : (i+1)*width])
		size := uint64(o.Uint16(lens[i*width:]))
		if wide {
			size = uint64(o.Uint32(lens[i*width:]))
		}
		if size > uint64(len(values)) {
			return nil, false
		}
		if info != nil && i < len(info.Params) {
			p := &info.Params[i]
			swapValue(p.Type, p.Dyn, values[:size])
		}
		values = values[size:]
	}
	return b, true
}

// swapValue swaps the byte order of a value in place. Addresses and strings have no
// byte order.
func swapValue(t event.ParamType, dyn []event.DynVariant, v []byte) {
	if len(v) == 0 {
		return
	}
	reverse := func(from, to int) {
		if to <= len(v) {
			slices.Reverse(v[from:to])
		}
	}
	switch t {
	case event.ParamIPv4Addr, event.ParamIPv6Addr:
	case event.ParamSockaddr:
		switch v[0] {
		case event.FamilyIPv4:
			reverse(5, 7)
		case event.FamilyIPv6:
			reverse(17, 19)
		}
	case event.ParamSocktuple:
		switch v[0] {
		case event.FamilyUnix:
			reverse(1, 9)
			reverse(9, 17)
		case event.FamilyIPv4:
			reverse(5, 7)
			reverse(11, 13)
		case event.FamilyIPv6:
			reverse(17, 19)
			reverse(35, 37)
		}
	case event.ParamFDList:
		reverse(0, 2)
		for at := 2; at < len(v); at += 10 {
			reverse(at, at+8)
			reverse(at+8, at+10)
		}
	case event.ParamDyn:
		if int(v[0]) < len(dyn) {
			swapValue(dyn[v[0]].Type, nil, v[1:])
		}
	default:
		if size, fixed := t.Size(); fixed && size == len(v) {
			slices.Reverse(v)
		}
	}
}
