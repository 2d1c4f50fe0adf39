// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func mustBuild(tb testing.TB, t Type, ts uint64, tid PID, params ...[]byte) []byte {
	tb.Helper()
	var b Builder
	b.Begin(t, ts, tid, len(params))
	for _, p := range params {
		b.Add(p)
	}
	raw, err := b.End()
	require.NoError(tb, err)
	return slices.Clone(raw)
}

func mustEvent(tb testing.TB, raw []byte) *Event {
	tb.Helper()
	ev := new(Event)
	require.NoError(tb, ev.Reset(raw, 0))
	return ev
}

func u16(v uint16) []byte { return binary.NativeEndian.AppendUint16(nil, v) }
func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }
func s64(v int64) []byte  { return u64(uint64(v)) }

// The worked example of the capture file's description: unlink of "/x" that
// failed with ENOENT.
func unlinkEvent(tb testing.TB) []byte {
	return mustBuild(tb, TypeUnlinkExit, uint64(0x1122334455667788), 0x0102, s64(-2), []byte("/x\x00"))
}

func TestResetGivesTheHeaderAndTheParams(t *testing.T) {
	raw := unlinkEvent(t)
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		require.Equal(t, []byte{
			0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x02, 0x01, 0, 0, 0, 0, 0, 0, 0x29, 0, 0, 0, 0x2d, 0x01, 2, 0, 0, 0,
			8, 0, 3, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '/', 'x', 0,
		}, raw)
	}
	var ev Event
	require.NoError(t, ev.Reset(append(slices.Clone(raw), 0xaa, 0xbb), 3))
	require.Equal(t, raw, ev.Bytes())
	require.Equal(t, uint64(0x1122334455667788), ev.Timestamp())
	require.EqualValues(t, 0x0102, ev.TID())
	require.Equal(t, TypeUnlinkExit, ev.Type())
	require.Equal(t, 3, ev.CPU())
	require.Equal(t, 2, ev.NumParams())
	require.Equal(t, s64(-2), ev.Param(0))
	require.Equal(t, "/x\x00", string(ev.Param(1)))
	require.Nil(t, ev.Param(2))
	require.Nil(t, ev.Param(-1))
	require.Equal(t, "unlink", ev.Info().Name)
	require.Equal(t, "res=-2(ENOENT) path=/x", string(ev.AppendArgs(nil)))

	var fast Event
	fast.ResetUnchecked(raw, 3)
	require.Equal(t, ev.Bytes(), fast.Bytes())
	require.Equal(t, ev.Param(1), fast.Param(1))
}

func TestAnEmptyParamIsNotAMissingOne(t *testing.T) {
	var ev Event
	require.NoError(t, ev.Reset(mustBuild(t, TypeUnlinkExit, 0, 1, nil, nil), 0))
	require.NotNil(t, ev.Param(1))
	require.Empty(t, ev.Param(1))
	require.Nil(t, ev.Param(2))
	require.Equal(t, "<NA>", string(ev.AppendParam(nil, 2)))
}

func TestTheZeroEventHasNothing(t *testing.T) {
	var ev Event
	require.Zero(t, ev.Timestamp())
	require.Zero(t, ev.TID())
	require.Zero(t, ev.Type())
	require.Zero(t, ev.NumParams())
	require.Nil(t, ev.Param(0))
	for range ev.Params() {
		t.Fatal("a param")
	}
	c := ev.Clone()
	require.Empty(t, c.Bytes())
}

func TestLargePayloadTypesHaveWideLengths(t *testing.T) {
	big := make([]byte, 100_000)
	big[99_999] = 1
	raw := mustBuild(t, TypeAsynceventEnter, 1, 2, u32(7), []byte("n\x00"), big)
	require.Len(t, raw, HeaderSize+3*4+4+2+len(big))
	var ev Event
	require.NoError(t, ev.Reset(raw, 0))
	require.Equal(t, big, ev.Param(2))
	for n := range 60 {
		require.ErrorIs(t, ev.Reset(raw[:n], 0), ErrTruncated)
		require.Zero(t, ev.NumParams())
	}
	require.ErrorIs(t, ev.Reset(raw[:len(raw)-1], 0), ErrTruncated)
}

func TestEveryProperPrefixIsTruncated(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for info := range All() {
		full := sample(t, info, r)
		var ev Event
		require.NoError(t, ev.Reset(full, 0))
		for n := range full {
			require.ErrorIs(t, ev.Reset(full[:n], 0), ErrTruncated, "%s: %d of %d bytes", info.Symbol, n, len(full))
		}
		for i := range info.Params {
			require.NotContains(t, string(ev.AppendParam(nil, i)), "\x00")
		}
	}
}

func TestLengthsThatContradictAreCorrupt(t *testing.T) {
	tests := map[string]func(b []byte){
		"the event is shorter than its header":        func(b []byte) { binary.NativeEndian.PutUint32(b[16:], 25) },
		"the event is shorter than its lengths":       func(b []byte) { binary.NativeEndian.PutUint32(b[16:], 29) },
		"a param reaches beyond the event":            func(b []byte) { binary.NativeEndian.PutUint16(b[28:], 4) },
		"the first param leaves no room for the next": func(b []byte) { binary.NativeEndian.PutUint16(b[26:], 9) },
		"there are more params than there may be":     func(b []byte) { binary.NativeEndian.PutUint32(b[22:], MaxParams+1) },
		"the number of params is absurd":              func(b []byte) { binary.NativeEndian.PutUint32(b[22:], 0xffffffff) },
	}
	for name, harm := range tests {
		t.Run(name, func(t *testing.T) {
			raw := unlinkEvent(t)
			harm(raw)
			ev := Event{n: 9}
			require.ErrorIs(t, ev.Reset(raw, 0), ErrCorrupt)
			require.Zero(t, ev)
		})
	}
}

func TestBytesBehindTheLastParamAreLeftAlone(t *testing.T) {
	raw := append(unlinkEvent(t), 1, 2, 3)
	binary.NativeEndian.PutUint32(raw[16:], uint32(len(raw)))
	var ev Event
	require.NoError(t, ev.Reset(raw, 0))
	require.Equal(t, "/x\x00", string(ev.Param(1)))
	require.Len(t, ev.Bytes(), len(raw))
}

func TestParamsRangesOverAll(t *testing.T) {
	for _, raw := range [][]byte{
		unlinkEvent(t),
		mustBuild(t, TypeAsynceventEnter, 1, 2, u32(7), nil, []byte("data")),
		mustBuild(t, TypeCloseExit, 1, 2),
	} {
		var ev Event
		require.NoError(t, ev.Reset(raw, 0))
		n := 0
		for i, v := range ev.Params() {
			require.Equal(t, n, i)
			require.Equal(t, ev.Param(i), v)
			n++
		}
		require.Equal(t, ev.NumParams(), n)
		for range ev.Params() {
			break
		}
	}
}

func TestCopiesOutliveTheBuffer(t *testing.T) {
	raw := unlinkEvent(t)
	var ev, second Event
	require.NoError(t, ev.Reset(raw, 5))
	first := ev.Clone()
	arena := ev.CopyTo(&second, make([]byte, 0, 100))
	require.Equal(t, raw, arena)
	clear(raw)
	for _, c := range []Event{first, second} {
		require.Equal(t, "/x\x00", string(c.Param(1)))
		require.Equal(t, TypeUnlinkExit, c.Type())
		require.Equal(t, 5, c.CPU())
	}
}

func TestBuilderRefusesWhatDoesNotFit(t *testing.T) {
	tests := map[string]struct {
		build func(b *Builder)
		want  error
	}{
		"more params than announced":     {func(b *Builder) { b.Begin(TypeCloseExit, 0, 0, 1); b.AddInt64(1); b.AddInt64(2) }, ErrCorrupt},
		"more params than there may be":  {func(b *Builder) { b.Begin(TypeCloseExit, 0, 0, MaxParams+1) }, ErrTooLarge},
		"a negative number of params":    {func(b *Builder) { b.Begin(TypeCloseExit, 0, 0, -1) }, ErrTooLarge},
		"a param of 64 KiB":              {func(b *Builder) { b.Begin(TypeWriteExit, 0, 0, 1); b.Add(make([]byte, 1<<16)) }, ErrTooLarge},
		"an event of 64 KiB and one":     {func(b *Builder) { b.Begin(TypeWriteExit, 0, 0, 1); b.Add(make([]byte, MaxSize-HeaderSize-1)) }, ErrTooLarge},
		"an event of exactly 64 KiB":     {func(b *Builder) { b.Begin(TypeWriteExit, 0, 0, 1); b.Add(make([]byte, MaxSize-HeaderSize-2)) }, nil},
		"fewer params than announced":    {func(b *Builder) { b.Begin(TypeCloseExit, 0, 0, 2); b.AddInt64(1) }, nil},
		"a large-payload type may be so": {func(b *Builder) { b.Begin(TypeAsynceventEnter, 0, 0, 1); b.Add(make([]byte, 1<<17)) }, nil},
	}
	var b Builder // one for all: an error does not stay
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.build(&b)
			raw, err := b.End()
			require.ErrorIs(t, err, test.want)
			if err != nil {
				require.Nil(t, raw)
				return
			}
			require.NoError(t, new(Event).Reset(raw, 0))
		})
	}
}

func TestBuilderWritesEveryWidth(t *testing.T) {
	var b Builder
	b.Begin(TypeCloseExit, 1, 2, 9)
	b.AddUint8(1)
	b.AddUint16(2)
	b.AddUint32(3)
	b.AddUint64(4)
	b.AddInt32(-5)
	b.AddInt64(-6)
	b.AddString("seven")
	b.AddEmpty()
	b.Add([]byte{9})
	raw, err := b.End()
	require.NoError(t, err)
	var ev Event
	require.NoError(t, ev.Reset(raw, 0))
	want := [][]byte{{1}, u16(2), u32(3), u64(4), u32(^uint32(4)), s64(-6), []byte("seven\x00"), {}, {9}}
	for i, v := range ev.Params() {
		require.Equal(t, want[i], v, "param %d", i)
	}
}

func TestLookupKnowsExactlyTheTable(t *testing.T) {
	seen := map[Type]bool{}
	last := -1
	for info := range All() {
		require.Same(t, info, Lookup(info.Code))
		require.Greater(t, int(info.Code), last, "codes ascend")
		last = int(info.Code)
		require.False(t, seen[info.Code])
		seen[info.Code] = true
		require.Equal(t, info.Enter, info.Code.Enter(), info.Symbol)
		require.LessOrEqual(t, len(info.Params), MaxParams, info.Symbol)
		require.Equal(t, info.Code.LargePayload(), info.Flags&LargePayload != 0, info.Symbol)
		if info.FDParam >= 0 {
			require.Contains(t, []ParamType{ParamFD, ParamFD32}, info.Params[info.FDParam].Type, info.Symbol)
		}
		for i := range info.Params {
			p := &info.Params[i]
			require.NotEqual(t, "unknown", p.Type.String(), info.Symbol)
			// Old versions also have relative paths, with the directory in
			// another event.
			if p.DirFD >= 0 {
				require.Equal(t, ParamFSRelPath, p.Type, "%s.%s", info.Symbol, p.Name)
				require.Equal(t, ParamFD, info.Params[p.DirFD].Type, "%s.%s", info.Symbol, p.Name)
			}
			require.Equal(t, p.Type == ParamDyn, p.Dyn != nil, "%s.%s", info.Symbol, p.Name)
			require.Equal(t, i, info.ParamIndex(p.Name), "%s.%s", info.Symbol, p.Name)
		}
	}
	for _, code := range []Type{454, 1000, FirstOwn - 1, 0xffff} {
		require.Nil(t, Lookup(code))
	}
	require.Equal(t, "unlink", TypeUnlinkExit.String())
	require.Equal(t, "event(1000)", Type(1000).String())
	require.Equal(t, -1, Lookup(TypeUnlinkExit).ParamIndex("nosuch"))
}

func TestVersionsAreThoseOfTheLockedSchema(t *testing.T) {
	lock, err := os.ReadFile("../../tables/schema.lock")
	require.NoError(t, err)
	require.Contains(t, string(lock), "\nown "+OwnSchemaVersion+"\n")
	lines := ""
	for _, p := range Personas() {
		lines += fmt.Sprintf("version %s %s %d %d\n", p.API, p.Schema, p.Codes, p.IDs)
	}
	require.Contains(t, string(lock), "\n"+lines+"\n", "all, in the lock's order")
	all := Personas()
	first, last := all[0], all[len(all)-1]
	require.Equal(t, []string{APIVersion, SchemaVersion, OldAPIVersion, OldSchemaVersion}, []string{first.API, first.Schema, last.API, last.Schema})
	require.EqualValues(t, OldCodes, last.Codes)
	require.False(t, first.Older)
	require.True(t, last.Older)
}

func TestSyscallCodesHaveNames(t *testing.T) {
	require.Equal(t, "read", SyscallName(3))
	require.Equal(t, "open", SyscallName(5))
	require.Empty(t, SyscallName(0))
	require.Empty(t, SyscallName(0xffff))
}

func TestValuesAreKnownByName(t *testing.T) {
	require.EqualValues(t, 1<<12|3, MustValue("open_flags", "O_CLOEXEC", "O_RDWR"))
	require.Zero(t, MustValue("open_flags"))
	require.PanicsWithValue(t, "set open_flags has no value O_CLOSEXEC", func() { MustValue("open_flags", "O_CLOSEXEC") })
	require.PanicsWithValue(t, "no event has a set openflags", func() { MustValue("openflags", "O_CLOEXEC") })
}

func TestParamTypesHaveNamesAndSizes(t *testing.T) {
	seen := map[string]bool{}
	for i := range paramTypes {
		name := ParamType(i).String()
		require.False(t, seen[name], name)
		seen[name] = true
	}
	_, ok := ParamDyn.Size()
	require.False(t, ok)
	require.Equal(t, "unknown", ParamType(len(paramTypes)).String())
	_, ok = ParamType(len(paramTypes)).Size()
	require.False(t, ok)
	size, ok := ParamErrno.Size()
	require.True(t, ok)
	require.Equal(t, 8, size)
	_, ok = ParamCharbuf.Size()
	require.False(t, ok)
}

// sample returns a valid event of the type with values of every shape.
func sample(tb testing.TB, info *Info, r *rand.Rand) []byte {
	params := make([][]byte, len(info.Params))
	for i := range params {
		params[i] = sampleValue(&info.Params[i], r)
	}
	return mustBuild(tb, info.Code, r.Uint64(), PID(r.Uint64()), params...)
}

func sampleValue(p *ParamInfo, r *rand.Rand) []byte {
	random := func(n int) []byte { return random(r, n) }
	if r.IntN(8) == 0 {
		return nil
	}
	if size, ok := p.Type.Size(); ok {
		if r.IntN(2) == 0 { // a small number
			v := s64(r.Int64N(300) - 150)
			if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
				return append(v, s64(-1)...)[:size]
			}
		}
		return random(size)
	}
	switch p.Type {
	case ParamCharbuf, ParamFSPath, ParamFSRelPath, ParamCharbufArray:
		return append(random(r.IntN(20)), 0)
	case ParamSockaddr:
		family := [][]byte{append([]byte{1}, "/run/x\x00"...), append([]byte{2}, random(6)...), append([]byte{10}, random(18)...)}
		return family[r.IntN(3)]
	case ParamSocktuple:
		family := [][]byte{append([]byte{1}, append(random(16), "/run/x\x00"...)...), append([]byte{2}, random(12)...), append([]byte{10}, random(36)...)}
		return family[r.IntN(3)]
	case ParamFDList:
		n := r.IntN(4)
		return append(u16(uint16(n)), random(10*n)...)
	case ParamNumbers:
		return random(8 * r.IntN(4))
	case ParamDyn:
		i := r.IntN(len(p.Dyn))
		return append([]byte{byte(i)}, sampleValue(&ParamInfo{Type: p.Dyn[i].Type}, r)...)
	}
	return random(r.IntN(40))
}

func TestNumbersHaveTheirSignExtended(t *testing.T) {
	require.EqualValues(t, 0xfe, ParamUint8.Number([]byte{0xfe}))
	require.EqualValues(t, -2, int64(ParamInt8.Number([]byte{0xfe})))
	require.EqualValues(t, -2, int64(ParamFD32.Number([]byte{0xfe, 0xff, 0xff, 0xff})))
	require.EqualValues(t, 0xfffffffe, ParamUint32.Number([]byte{0xfe, 0xff, 0xff, 0xff}))
	for _, n := range []int{0, 3, 9, 16} {
		require.Zero(t, ParamInt64.Number(make([]byte, n)), "%d bytes", n)
		require.Zero(t, ParamUint64.Number(make([]byte, n)), "%d bytes", n)
	}
}

func TestParamsAreReadInShorterWays(t *testing.T) {
	for _, typ := range []Type{TypeReadExit, TypeContainerJSONEnter} { // the other has lengths of 4 bytes
		for n := range 12 {
			var b Builder
			b.Begin(typ, 1, 2, n)
			for i := range n {
				switch i % 4 {
				case 0, 2:
					b.AddInt64(int64(i - 5))
				case 1:
					b.Add([]byte("data of some length")[:2*i])
				default:
					b.Add(nil)
				}
			}
			raw, err := b.End()
			require.NoError(t, err)
			var ev Event
			require.NoError(t, ev.Reset(raw, 0))
			var l Layout
			ev.Layout(&l)
			for i := -1; i < n+2; i++ {
				require.Equal(t, ev.Param(i), l.Param(i), "%d of %d", i, n)
				v, ok := ev.Int64(i)
				require.Equal(t, typ == TypeReadExit && len(ev.Param(i)) == 8, ok, "%d of %d", i, n)
				num, fits := ev.Number(i, 8)
				require.Equal(t, len(ev.Param(i)) == 0 || len(ev.Param(i)) == 8, fits, "%d of %d", i, n)
				require.True(t, !ok || uint64(v) == num)
				_, fits = ev.Number(i, 4)
				require.Equal(t, len(ev.Param(i)) == 0, fits, "%d of %d", i, n) // none has 4 bytes
				res, also, both := ev.ResultAnd(i)
				require.Equal(t, ok && i > 0, both, "%d of %d", i, n)
				if both {
					require.Equal(t, []int64{-5, int64(i - 5)}, []int64{res, also})
					require.Equal(t, v, also)
				}
			}
			ts, tid, code := ev.Head()
			require.Equal(t, ev.Timestamp(), ts)
			require.Equal(t, ev.TID(), tid)
			require.Equal(t, ev.Type(), code)
		}
	}
	_, tid, code := new(Event).Head()
	require.Zero(t, tid)
	require.Zero(t, code)
}

// Reset looks at the lengths of most events in a shorter way. It must find what is wrong
// with each of them.
func TestLengthsOfAnyNumberOfParamsAreChecked(t *testing.T) {
	for n := range 12 {
		var b Builder
		b.Begin(TypeReadExit, 1, 2, n)
		for i := range n {
			b.Add([]byte("abcdefghijklmnop")[:i])
		}
		raw, err := b.End()
		require.NoError(t, err)
		long := append(bytes.Clone(raw), make([]byte, 40)...) // the buffer may be longer
		for _, buf := range [][]byte{raw, long} {
			var ev Event
			require.NoError(t, ev.Reset(buf, 3))
			require.Equal(t, raw, ev.Bytes())
			require.Equal(t, n, ev.NumParams())
			for i := range n {
				bad := bytes.Clone(buf)
				bad[HeaderSize+2*i]++
				require.ErrorIs(t, ev.Reset(bad, 3), ErrCorrupt, "length %d of %d", i, n)
				require.Zero(t, ev)
				bad[HeaderSize+2*i+1] = 0xff
				require.ErrorIs(t, ev.Reset(bad, 3), ErrCorrupt, "length %d of %d", i, n)
			}
		}
		var ev Event
		require.ErrorIs(t, ev.Reset(raw[:len(raw)-1], 3), ErrTruncated)
	}
}

func TestByCodeHasEveryCode(t *testing.T) {
	names := MakeByCode("none", func(in *Info) string { return in.Symbol })
	for in := range All() {
		require.Equal(t, in.Symbol, *names.At(in.Code))
	}
	for _, unknown := range []Type{454, FirstOwn - 1, 0xffff} {
		require.Equal(t, "none", *names.At(unknown), "code %d", unknown)
	}
}
