// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/proc"
)

var bothOrders = map[string]interface {
	binary.ByteOrder
	binary.AppendByteOrder
}{"little": binary.LittleEndian, "big": binary.BigEndian}

// block puts a body into a block.
func block(o binary.AppendByteOrder, t uint32, body []byte) []byte {
	b, at := beginBlock(nil, o, t)
	return endBlock(append(b, body...), o, at)
}

// appendOldThread writes t in the format of process list version 1 to 8.
func appendOldThread(b []byte, o binary.AppendByteOrder, t *proc.Thread, version int) []byte {
	i64 := func(vs ...event.PID) {
		for _, v := range vs {
			b = o.AppendUint64(b, uint64(v))
		}
	}
	str := func(s string) { b = appendString(b, o, s, 4096) }
	i64(t.TID, t.PID, t.PTID)
	if version >= 6 {
		i64(t.SID)
	}
	if version >= 8 {
		i64(t.VPGID)
	}
	str(t.Comm)
	str(t.Exe)
	if version >= 7 {
		str(t.ExePath)
	}
	str(t.Args)
	str(t.CWD)
	i64(event.PID(t.FDLimit))
	for _, v := range []uint32{t.Flags, uint32(t.UID), uint32(t.GID)} {
		b = o.AppendUint32(b, v)
	}
	if version >= 2 {
		for _, v := range []uint32{t.VMSize, t.VMRSS, t.VMSwap} {
			b = o.AppendUint32(b, v)
		}
		i64(event.PID(t.PFMajor), event.PID(t.PFMinor))
	}
	if version >= 3 {
		str(t.Env)
	}
	if version >= 4 {
		i64(t.VTID, t.VPID)
		str(t.Cgroups)
	}
	if version >= 5 {
		str(t.Root)
	}
	return b
}

// oldThread returns t with the fields that a process list of that version has.
func oldThread(t proc.Thread, version int) proc.Thread {
	want := proc.Thread{
		TID: t.TID, PID: t.PID, PTID: t.PTID, Comm: t.Comm, Exe: t.Exe, Args: t.Args, CWD: t.CWD, FDLimit: t.FDLimit,
		Flags: t.Flags, UID: t.UID, GID: t.GID, SID: -1, VPGID: -1, PGID: -1, VTID: -1, VPID: -1, LoginUID: event.NoUID,
	}
	if version >= 2 {
		want.VMSize, want.VMRSS, want.VMSwap, want.PFMajor, want.PFMinor = t.VMSize, t.VMRSS, t.VMSwap, t.PFMajor, t.PFMinor
	}
	if version >= 3 {
		want.Env = t.Env
	}
	if version >= 4 {
		want.VTID, want.VPID, want.Cgroups = t.VTID, t.VPID, t.Cgroups
	}
	if version >= 5 {
		want.Root = t.Root
	}
	if version >= 6 {
		want.SID = t.SID
	}
	if version >= 7 {
		want.ExePath = t.ExePath
	}
	if version >= 8 {
		want.VPGID = t.VPGID
	}
	return want
}

func mustState(tb testing.TB, capture []byte) (*Reader, *proc.State) {
	tb.Helper()
	r, err := NewReader(bytes.NewReader(capture), Options{})
	require.NoError(tb, err)
	return r, r.State()
}

func TestAllVersionsOfProcessLists(t *testing.T) {
	codes := map[uint32]int{
		0x202: 1, 0x207: 2, 0x209: 3, 0x210: 4, 0x211: 5, 0x212: 6, 0x213: 7, 0x214: 8,
		0x8000abcd: 1, 0x8013abcd: 2, 0x8014abcd: 3,
	}
	threads := someState().Threads
	for order, o := range bothOrders {
		for code, version := range codes {
			var body []byte
			var want []proc.Thread
			for i := range threads {
				body = appendOldThread(body, o, &threads[i], version)
				want = append(want, oldThread(threads[i], version))
			}
			r, state := mustState(t, append(appendSectionHeader(nil, o), block(o, code, body)...))
			require.Equal(t, want, state.Threads, "%#x, %s endian", code, order)
			require.Zero(t, r.Counts().BadRecords)
		}
	}
}

func TestProcessListsGrewAtTheirEnd(t *testing.T) {
	o := binary.LittleEndian
	full := someState().Threads[0]
	full.FDs = nil
	whole := appendThread(nil, o, &full)
	base := len(whole) - 76
	for _, extra := range []int{0, 27, 29, 30, 41, 75, 76, 82} {
		rec := append([]byte(nil), whole[:base]...)
		switch {
		case extra <= 29:
			rec = append(rec, whole[base+12:base+12+extra]...) // without the first two fields
		case extra <= 76:
			rec = append(rec, whole[base:base+extra]...)
		default:
			rec = append(append(rec, whole[base:]...), make([]byte, extra-76)...)
		}
		o.PutUint32(rec, uint32(len(rec)))
		_, state := mustState(t, append(appendSectionHeader(nil, o), block(o, procListV9, append(rec, whole...))...))
		require.Len(t, state.Threads, 1, "the second record has the same tid")
		r := cursor{b: rec[4:], order: o}
		got := decodeThread(&r, 9)
		require.False(t, r.failed, "%d bytes", extra)
		if extra == 0 {
			require.Equal(t, event.NoUID, got.LoginUID)
			require.Equal(t, event.PID(-1), got.PGID)
		}
		require.Equal(t, extra >= 30, got.TTY != 0, "%d bytes", extra)
		require.Equal(t, extra >= 27 && extra <= 29 || extra >= 41, got.CapPermitted == full.CapPermitted && got.ExeWritable, "%d bytes", extra)
		if extra >= 76 {
			require.Equal(t, full, got)
		}
	}
}

func TestFDListsOfBothVersions(t *testing.T) {
	thread := someState().Threads[0]
	for order, o := range bothOrders {
		for _, code := range []uint32{fdListV1, 0x8001abcd, fdListV2} {
			body := o.AppendUint64(nil, uint64(thread.TID))
			want := append([]proc.FD(nil), thread.FDs...)
			for i := range want {
				rec := appendFD(nil, o, &want[i])
				if code != fdListV2 {
					rec = rec[4:]
					if want[i].Type == proc.FDRegular {
						rec = rec[:len(rec)-4] // no device
						want[i].Dev = 0
					}
				}
				body = append(body, rec...)
			}
			capture := appendSectionHeader(nil, o)
			capture = append(capture, block(o, procListV9, appendThread(nil, o, &thread))...)
			capture = append(capture, block(o, code, body)...)
			r, state := mustState(t, capture)
			require.Equal(t, want, state.Threads[0].FDs, "%#x, %s endian", code, order)
			require.Zero(t, r.Counts().BadRecords)
		}
	}
}

func TestFDsOfUnknownKind(t *testing.T) {
	o := binary.LittleEndian
	thread := proc.Thread{TID: 1, PID: 1}
	unknown := o.AppendUint64(o.AppendUint64(nil, 9), 10)
	unknown = append(unknown, 99, 1, 2, 3, 4)
	known := proc.FD{Num: 3, Type: proc.FDPipe, Name: "x"}
	head := append(appendSectionHeader(nil, o), block(o, procListV9, appendThread(nil, o, &thread))...)

	sized := o.AppendUint64(nil, 1)
	sized = o.AppendUint32(sized, uint32(len(unknown)+4))
	sized = appendFD(append(sized, unknown...), o, &known)
	_, state := mustState(t, append(bytes.Clone(head), block(o, fdListV2, sized)...))
	require.Equal(t, []proc.FD{{Num: 9, Ino: 10, Type: proc.FDUnsupported, Name: "unknown-type:[99]"}, known}, state.Threads[0].FDs)

	// Version 1 does not have the start of the next record.
	old := append(o.AppendUint64(nil, 1), appendFD(nil, o, &known)[4:]...)
	old = append(old, unknown...)
	r, state := mustState(t, append(bytes.Clone(head), block(o, fdListV1, old)...))
	require.Equal(t, []proc.FD{known}, state.Threads[0].FDs)
	require.Equal(t, uint64(1), r.Counts().BadRecords)
}

func TestUserListsOfBothVersions(t *testing.T) {
	want := someState()
	for order, o := range bothOrders {
		for _, code := range []uint32{usersV1, 0x8012abcd, usersV2} {
			body := appendUsers(nil, o, want.Users, want.Groups)
			if code != usersV2 {
				var old []byte
				for b := body; len(b) > 0; {
					n := o.Uint32(b)
					old = append(old, b[4:n]...)
					b = b[n:]
				}
				body = old
			}
			_, state := mustState(t, append(appendSectionHeader(nil, o), block(o, code, body)...))
			require.Equal(t, want.Users, state.Users, "%#x, %s endian", code, order)
			require.Equal(t, want.Groups, state.Groups)
		}
	}
}

func TestInterfaceListsOfBothVersions(t *testing.T) {
	want := someState().Interfaces
	for order, o := range bothOrders {
		for _, code := range []uint32{interfacesV1, 0x8011abcd, interfacesV2} {
			for _, speed := range []bool{true, false} {
				var body []byte
				want := append([]proc.Interface(nil), want...)
				for i := range want {
					rec := appendInterface(nil, o, &want[i])
					if !speed {
						o.PutUint16(rec, o.Uint16(rec)+2)
						n := len(want[i].Name)
						rec = append(rec[:len(rec)-n-8], rec[len(rec)-n:]...)
						want[i].Speed = 0
					}
					if code == interfacesV2 {
						rec = append(rec, 0xee, 0xee) // of a later version
						body = o.AppendUint32(body, uint32(len(rec)))
					}
					body = append(body, rec...)
				}
				r, state := mustState(t, append(appendSectionHeader(nil, o), block(o, code, body)...))
				require.Equal(t, want, state.Interfaces, "%#x, %s endian", code, order)
				require.Zero(t, r.Counts().BadRecords)
			}
		}
	}
}

func TestABadInterfaceCostsOnlyItself(t *testing.T) {
	o := binary.LittleEndian
	in := someState().Interfaces
	var body []byte
	for i := range in {
		rec := appendInterface(nil, o, &in[i])
		if i == 0 {
			o.PutUint16(rec, 5) // no such kind
		}
		body = append(o.AppendUint32(body, uint32(len(rec))), rec...)
	}
	r, state := mustState(t, append(appendSectionHeader(nil, o), block(o, interfacesV2, body)...))
	require.Equal(t, in[1:], state.Interfaces)
	require.Equal(t, uint64(1), r.Counts().BadRecords)
}

// When sysdig saves a capture with the old list again, it writes a block that is
// longer than its length field.
func TestInterfaceListThatIsTooShortIsRepaired(t *testing.T) {
	o := binary.LittleEndian
	good := mustCapture(t, WriterOptions{State: someState()}, someEvents(t)...)
	at := int(o.Uint32(good[4:])) + 192
	require.Equal(t, uint32(interfacesV2), o.Uint32(good[at:]))
	size := o.Uint32(good[at+4:])
	short := size - 4*uint32(len(someState().Interfaces))
	o.PutUint32(good[at+4:], short)
	o.PutUint32(good[at+int(size)-4:], short)
	r, evs := mustRead(t, good, Options{})
	require.Equal(t, someState(), r.State())
	require.Equal(t, someEvents(t), evs)
}

func TestMachineOfVersion1(t *testing.T) {
	o := binary.LittleEndian
	m := proc.Machine{NumCPUs: 2, Hostname: "h"}
	_, state := mustState(t, append(appendSectionHeader(nil, o), block(o, 0x8002abcd, appendMachine(nil, o, &m))...))
	require.Equal(t, m, state.Machine)
}

// foreign returns an event as a machine of byte order o writes it; old leaves out the
// count of params.
func foreign(tb testing.TB, o binary.AppendByteOrder, ev *event.Event, old bool) []byte {
	tb.Helper()
	b := o.AppendUint64(nil, ev.Timestamp())
	b = o.AppendUint64(b, uint64(ev.TID()))
	size := len(ev.Bytes())
	if old {
		size -= 4
	}
	b = o.AppendUint32(b, uint32(size))
	b = o.AppendUint16(b, uint16(ev.Type()))
	if !old {
		b = o.AppendUint32(b, uint32(ev.NumParams()))
	}
	for _, v := range ev.Params() {
		if ev.Type().LargePayload() {
			b = o.AppendUint32(b, uint32(len(v)))
		} else {
			b = o.AppendUint16(b, uint16(len(v)))
		}
	}
	for i, v := range ev.Params() {
		v = bytes.Clone(v)
		if info := ev.Info(); info != nil && (o == binary.AppendByteOrder(binary.BigEndian)) != hostIsBigEndian {
			swapValue(info.Params[i].Type, info.Params[i].Dyn, v)
		}
		b = append(b, v...)
	}
	return b
}

func TestEventsOfVersion1AndOfBothOrders(t *testing.T) {
	tuple := append([]byte{2, 192, 0, 2, 7}, 0x50, 0, 198, 51, 100, 1, 0xbb, 1)
	evs := []*event.Event{
		mustEvent(t, event.TypeOpenatExit, 100, 10, 3, -100, "/etc/hosts", uint32(1), uint32(0), uint32(0x801), uint64(7)),
		mustEvent(t, event.TypeConnectExit, 200, 11, 0, tuple, 3, []byte{2, 198, 51, 100, 1, 0xbb, 1}),
		mustEvent(t, event.TypePollExit, 250, 11, 1, append([]byte{1, 0, 3, 0, 0, 0, 0, 0, 0, 0}, 1, 0), int64(-1)),
		mustEvent(t, event.TypeSetsockoptExit, 300, 12, 0, 3, uint8(1), uint8(2), append([]byte{2}, 1, 0, 0, 0), uint32(4)),
		mustEvent(t, event.TypeGetuidExit, 300, 12, uint32(1000)),
		mustEvent(t, event.TypeSwitchEnter, 300, 12, 9, uint64(1), uint64(2), uint32(3), uint32(4), uint32(5)),
	}
	for order, o := range bothOrders {
		for _, code := range []uint32{eventV1, 0x8010abcd, eventFlagsV1, eventV2, eventFlagsV2, eventLarge, eventFlgLarge} {
			old := canonical(code) == eventV1 || code == eventFlagsV1
			capture := appendSectionHeader(nil, o)
			var want []*event.Event
			for _, ev := range evs {
				capture = appendRawEvent(capture, o, code, uint16(ev.CPU()), foreign(t, o, ev, old))
				c := ev.Clone()
				c.SetHidden(code == eventFlagsV1 || code == eventFlagsV2 || code == eventFlgLarge)
				want = append(want, &c)
			}
			r, got := mustRead(t, capture, Options{})
			require.Equal(t, want, got, "%#x, %s endian", code, order)
			require.Equal(t, (order == "big") != hostIsBigEndian, r.Counts().OtherOrder)
		}
	}
}

func TestWideLengthsOfTheOtherOrder(t *testing.T) {
	o := binary.AppendByteOrder(binary.BigEndian)
	if hostIsBigEndian {
		o = binary.LittleEndian
	}
	ev := mustEvent(t, event.TypeAsynceventEnter, 500, -1, uint32(7), "container", []byte("{}"))
	capture := appendRawEvent(appendSectionHeader(nil, o), o, eventLarge, uint16(ev.CPU()), foreign(t, o, ev, false))
	_, got := mustRead(t, capture, Options{})
	require.Equal(t, []*event.Event{ev}, got)
}

// swapValue gives the other byte order's value for every type of param, and swapping
// twice gives the value itself.
func TestValuesOfAllTypesTurnAround(t *testing.T) {
	seq := make([]byte, 64)
	for i := range seq {
		seq[i] = byte(i + 100)
	}
	for _, family := range []byte{1, 2, 10} {
		for typ := range event.ParamPID32 + 1 {
			size, fixed := typ.Size()
			if !fixed {
				size = map[byte]int{1: 20, 2: 13, 10: 37}[family]
			}
			v := bytes.Clone(seq[:size])
			if size > 0 {
				v[0] = family
			}
			before := bytes.Clone(v)
			swapValue(typ, nil, v)
			once := bytes.Clone(v)
			swapValue(typ, nil, v)
			require.Equal(t, before, v, typ.String())
			switch typ {
			case event.ParamUint64, event.ParamFD, event.ParamErrno, event.ParamReltime, event.ParamUint32, event.ParamUID, event.ParamPort:
				require.NotEqual(t, before, once, typ.String())
			case event.ParamCharbuf, event.ParamBytebuf, event.ParamFSPath, event.ParamIPv4Addr, event.ParamIPv6Addr, event.ParamUint8:
				require.Equal(t, before, once, typ.String())
			}
		}
	}
}

func TestCountsOfVersion1AreFoundOrTheEventIsCorrupt(t *testing.T) {
	o := binary.LittleEndian
	good := foreign(t, o, mustEvent(t, event.TypeUnlinkExit, 1, 1, 0, "/x"), true)
	fewer := foreign(t, o, mustEvent(t, event.TypeUnlinkExit, 1, 1, 0), true)
	tooLong := foreign(t, o, mustEvent(t, 280, 1, 1, "id", "text"), true)
	o.PutUint32(tooLong[16:], uint32(len(tooLong)+3))
	tooLong = append(tooLong, 0, 0, 0)
	bad := bytes.Clone(good)
	bad[22] = 7 // a length that does not fill the event
	short := bytes.Clone(good)
	o.PutUint32(short[16:], 10)
	unknown := bytes.Clone(good)
	o.PutUint16(unknown[20:], 9999)
	for i, test := range []struct {
		raw    []byte
		params int // -1: corrupt
	}{{good, 2}, {fewer, 1}, {tooLong, 2}, {bad, -1}, {short, -1}, {unknown, -1}} {
		r, evs := mustRead(t, appendRawEvent(appendSectionHeader(nil, o), o, eventV1, 0, test.raw), Options{})
		if test.params < 0 {
			require.Empty(t, evs, fmt.Sprint(i))
			require.Equal(t, uint64(1), r.Counts().Corrupt)
		} else {
			require.Len(t, evs, 1, fmt.Sprint(i))
			require.Equal(t, test.params, evs[0].NumParams())
		}
	}
}
