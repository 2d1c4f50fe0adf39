// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// everyWidth has a field for every reading method of the runtime, in an event
// type that nothing else uses.
type everyWidth struct {
	i8, u8   int64
	i16, u16 int64
	i32, u32 int64
	i64      int64
	u64      uint64
	str, buf []byte
	set      ParamSet
}

const typeEveryWidth Type = 0xfffe

func (d *everyWidth) Decode(ev *Event) error {
	var r decoder
	if err := r.begin(ev, typeEveryWidth); err != nil {
		*d = everyWidth{}
		return err
	}
	d.i8 = int64(r.int8())
	d.u8 = int64(r.uint8())
	d.i16 = int64(r.int16())
	d.u16 = int64(r.uint16())
	d.i32 = int64(r.int32())
	d.u32 = int64(r.uint32())
	d.i64 = r.int64()
	d.u64 = r.uint64()
	d.str = r.str()
	d.buf = r.bytes()
	if r.err != nil {
		*d = everyWidth{}
		return r.err
	}
	d.set = r.set
	return nil
}

func everyWidthEvent(tb testing.TB) []byte {
	return mustBuild(tb, typeEveryWidth, 1, 2,
		[]byte{0xff}, []byte{0xff}, u16(0xffff), u16(0xffff), u32(0xffffffff), u32(0xffffffff), s64(-1), s64(-1),
		[]byte("name\x00"), []byte{0, 1, 2})
}

func TestDecoderReadsEveryWidth(t *testing.T) {
	var d everyWidth
	require.NoError(t, d.Decode(mustEvent(t, everyWidthEvent(t))))
	require.Equal(t, everyWidth{-1, 255, -1, 65535, -1, 1<<32 - 1, -1, 1<<64 - 1, []byte("name"), []byte{0, 1, 2}, 1<<10 - 1}, d)
}

func TestDecoderErrors(t *testing.T) {
	d := everyWidth{i8: 5}
	require.ErrorIs(t, d.Decode(mustEvent(t, unlinkEvent(t))), ErrType)
	require.Zero(t, d, "an error means no result")
	d = everyWidth{i8: 5}
	require.ErrorIs(t, d.Decode(new(Event)), ErrType)
	require.Zero(t, d)
	for i := range 8 {
		params := [][]byte{{1}, {1}, u16(1), u16(1), u32(1), u32(1), u64(1), u64(1)}
		params[i] = append(params[i], 0)
		d := everyWidth{i8: 5}
		require.ErrorIs(t, d.Decode(mustEvent(t, mustBuild(t, typeEveryWidth, 0, 0, params...))), ErrCorrupt, "param %d", i)
		require.Zero(t, d)
	}
}

func TestDecoderTakesEmptyAndMissingParams(t *testing.T) {
	d := everyWidth{i8: 5, u64: 5, str: []byte("x")}
	require.NoError(t, d.Decode(mustEvent(t, mustBuild(t, typeEveryWidth, 0, 0, nil, []byte{7}, nil))))
	require.Equal(t, everyWidth{u8: 7, set: 1 << 1}, d)
	require.True(t, d.set.Has(1))
	require.False(t, d.set.Has(0))
	require.False(t, d.set.Has(9))

	require.NoError(t, d.Decode(mustEvent(t, mustBuild(t, typeEveryWidth, 0, 0, nil, nil, nil, nil, nil, nil, nil, nil, []byte{0}, nil))))
	require.NotNil(t, d.str, "the empty string is a string")
	require.Empty(t, d.str)
	require.Nil(t, d.buf)

	// A newer producer sends more params than this decoder knows.
	params := make([][]byte, 12)
	params[11] = []byte("more")
	require.NoError(t, d.Decode(mustEvent(t, mustBuild(t, typeEveryWidth, 0, 0, params...))))
	require.Zero(t, d)
}

func TestDecoderDoesNotAllocate(t *testing.T) {
	ev := mustEvent(t, everyWidthEvent(t))
	var d everyWidth
	require.Zero(t, testing.AllocsPerRun(10, func() {
		if err := d.Decode(ev); err != nil {
			t.Error(err)
		}
	}))
}

func TestCStringEndsAtTheFirstNUL(t *testing.T) {
	for in, want := range map[string]string{"": "", "\x00": "", "a\x00": "a", "a\x00b\x00": "a", "abc": "abc"} {
		require.Equal(t, want, string(CString([]byte(in))), "%q", in)
	}
	require.Nil(t, CString(nil))
	require.NotNil(t, CString([]byte{0}))
}

func TestViewsOfAddresses(t *testing.T) {
	v4 := SockAddr(cat([]byte{2, 10, 1, 2, 3}, u16(443)))
	ap, ok := v4.AddrPort()
	require.True(t, ok)
	require.Equal(t, netip.MustParseAddrPort("10.1.2.3:443"), ap)
	require.Nil(t, v4.Path())
	unix := SockAddr("\x01/run/x\x00")
	require.Equal(t, "/run/x", string(unix.Path()))
	_, ok = unix.AddrPort()
	require.False(t, ok)
	require.Equal(t, "a\x00b", string(SockAddr("\x01a\x00b\x00").Path()), "an abstract name")
	require.Equal(t, "a\x00b", string(SockTuple("\x01source.\x00dest...\x00a\x00b\x00").Path()), "an abstract name")
	require.Zero(t, SockAddr(nil).Family())

	for n := range 37 {
		tuple := SockTuple(make([]byte, n))
		for _, family := range []byte{0, FamilyUnix, FamilyIPv4, FamilyIPv6} {
			if n > 0 {
				tuple[0] = family
			}
			_, dest := tuple.Dest()
			_, source := tuple.Source()
			_, _, pointers := tuple.Pointers()
			require.Equal(t, family == FamilyIPv4 && n >= 13, dest, "%d %d", family, n)
			require.Equal(t, family == FamilyIPv4 && n >= 7 || family == FamilyIPv6 && n >= 19, source, "%d %d", family, n)
			require.Equal(t, family == FamilyUnix && n >= 17, pointers, "%d %d", family, n)
			require.Len(t, tuple.Path(), map[bool]int{true: max(0, n-18)}[family == FamilyUnix], "%d %d", family, n)
		}
	}
	require.Equal(t, -1, Dyn(nil).Index())
	require.Nil(t, Dyn(nil).Value())
	require.Equal(t, 3, Dyn("\x03ab").Index())
	require.Equal(t, "ab", string(Dyn("\x03ab").Value()))
	for range Strings("a\x00b\x00").All() {
		break
	}
}

func openatEvent(tb testing.TB) []byte {
	return mustBuild(tb, TypeOpenatExit, 1, 2, s64(3), s64(-100), []byte("/etc/ld.so.cache\x00"), u32(4097), u32(0), u32(0xfd00), u64(123))
}

func BenchmarkReset(b *testing.B) {
	raw := openatEvent(b)
	var ev Event
	b.ReportAllocs()
	for b.Loop() {
		if err := ev.Reset(raw, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode decodes events of one type, BenchmarkDecodeAny of all types.
func BenchmarkDecode(b *testing.B) {
	ev := mustEvent(b, openatEvent(b))
	var open OpenatExit
	b.ReportAllocs()
	for b.Loop() {
		if err := open.Decode(ev); err != nil {
			b.Fatal(err)
		}
	}
	require.Equal(b, "/etc/ld.so.cache", string(open.Name))
}

func BenchmarkDecodeAny(b *testing.B) {
	ev := mustEvent(b, openatEvent(b))
	var d Decoder
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		typed, err := d.Decode(ev)
		if err != nil {
			b.Fatal(err)
		}
		switch e := typed.(type) {
		case *CloseExit:
			n++
		case *OpenatExit:
			n += int(e.FD)
		}
	}
	require.Positive(b, n)
}

// FuzzDecode reads any bytes as an event. Writing an accepted event again gives the
// same bytes, and every decoder agrees with the general reader.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for info := range All() {
		if info.Flags&(OldVersion|Unused) == 0 {
			f.Add(sample(f, info, r))
		}
	}
	f.Add(everyWidthEvent(f))
	f.Add(mustBuild(f, TypeCloseExit, 0, 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var ev Event
		err := ev.Reset(data, 0)
		if err != nil {
			require.True(t, err == ErrTruncated || err == ErrCorrupt)
			require.Zero(t, ev)
			return
		}
		var b Builder
		b.Begin(ev.Type(), ev.Timestamp(), ev.TID(), ev.NumParams())
		for i, v := range ev.Params() {
			require.True(t, bytes.Equal(v, ev.Param(i)))
			b.Add(v)
		}
		again, err := b.End()
		if len(ev.Bytes()) > MaxSize {
			return
		}
		require.NoError(t, err)
		// There may be bytes after the last param.
		require.Equal(t, ev.Bytes()[20:len(again)], again[20:])
		text := ev.AppendArgs(nil)
		for i := range ev.NumParams() {
			text = ev.AppendParam(text, i)
		}
		require.NotContains(t, string(text), "\x00")
		checkDecoder(t, &ev)
	})
}
