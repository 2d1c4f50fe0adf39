// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkDecoder decodes an accepted event and compares each field with the param of
// the same index.
func checkDecoder(tb testing.TB, ev *Event) {
	tb.Helper()
	d := newTyped(ev.Type())
	if d == nil {
		return
	}
	fields := reflect.ValueOf(d).Elem()
	info := ev.Info()
	require.Equal(tb, len(info.Params)+1, fields.NumField(), info.Symbol)
	err := d.Decode(ev)
	fits := true
	for i := range info.Params {
		size, fixed := info.Params[i].Type.Size()
		if n := len(ev.Param(i)); fixed && n != 0 && n != size {
			fits = false
		}
	}
	if !fits {
		require.ErrorIs(tb, err, ErrCorrupt, info.Symbol)
		require.True(tb, fields.IsZero(), info.Symbol)
		return
	}
	require.NoError(tb, err, info.Symbol)
	set := fields.FieldByName("Set").Interface().(ParamSet)
	for i := range info.Params {
		p := &info.Params[i]
		want := ev.Param(i)
		require.Equal(tb, len(want) > 0, set.Has(i), "%s.%s", info.Symbol, p.Name)
		switch f := fields.Field(i); {
		case f.CanUint():
			require.Equal(tb, unsigned(want), f.Uint(), "%s.%s", info.Symbol, p.Name)
		case f.CanInt() && len(want) > 0:
			require.Equal(tb, signed(want), f.Int(), "%s.%s", info.Symbol, p.Name)
		case f.CanInt():
			require.Zero(tb, f.Int(), "%s.%s", info.Symbol, p.Name)
		default:
			if p.Type == ParamCharbuf || p.Type == ParamFSPath || p.Type == ParamFSRelPath {
				want = CString(want)
			}
			require.Equal(tb, string(want), string(f.Bytes()), "%s.%s", info.Symbol, p.Name)
			require.Equal(tb, len(ev.Param(i)) == 0, f.IsNil(), "%s.%s", info.Symbol, p.Name)
		}
	}
}

func TestEveryDecoder(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	typed := 0
	for info := range All() {
		code := info.Code
		if newTyped(code) == nil {
			continue
		}
		typed++
		for range 20 {
			full := sample(t, info, r)
			ev := mustEvent(t, full)
			checkDecoder(t, ev)
			d := newTyped(code)
			require.Zero(t, testing.AllocsPerRun(10, func() { d.Decode(ev) }), info.Symbol)

			// Fewer params, as an older producer sends.
			if info.Params != nil {
				var b Builder
				n := r.IntN(len(info.Params))
				b.Begin(code, 1, 2, n)
				for i := range n {
					b.Add(ev.Param(i))
				}
				short, err := b.End()
				require.NoError(t, err)
				checkDecoder(t, mustEvent(t, short))
			}
		}
		other := sample(t, info, r)
		binary.NativeEndian.PutUint16(other[20:], uint16(typeEveryWidth))
		d := newTyped(code)
		require.NoError(t, d.Decode(mustEvent(t, sample(t, info, r))))
		if !code.LargePayload() {
			require.ErrorIs(t, d.Decode(mustEvent(t, other)), ErrType, info.Symbol)
			require.True(t, reflect.ValueOf(d).Elem().IsZero(), "%s: an error means no result", info.Symbol)
		}
		for i := range info.Params {
			if size, ok := info.Params[i].Type.Size(); ok {
				params := [][]byte{}
				for j := range info.Params {
					params = append(params, nil)
					if j == i {
						params[j] = append(params[j], random(r, size+1)...)
					}
				}
				require.ErrorIs(t, newTyped(code).Decode(mustEvent(t, mustBuild(t, code, 1, 2, params...))), ErrCorrupt, "%s.%s", info.Symbol, info.Params[i].Name)
			}
		}
	}
	require.Greater(t, typed, 100)
}

func TestDecoderKeepsOneStructForEachType(t *testing.T) {
	var d Decoder
	first, err := d.Decode(mustEvent(t, openatEvent(t)))
	require.NoError(t, err)
	require.Equal(t, FD(3), first.(*OpenatExit).FD)
	unlink, err := d.Decode(mustEvent(t, unlinkEvent(t)))
	require.NoError(t, err)
	require.Equal(t, "/x", string(unlink.(*UnlinkExit).Path))
	require.Equal(t, FD(3), first.(*OpenatExit).FD, "another type has another struct")
	again, err := d.Decode(mustEvent(t, mustBuild(t, TypeOpenatExit, 1, 2, s64(4))))
	require.NoError(t, err)
	require.Same(t, first, again)
	require.Equal(t, FD(4), first.(*OpenatExit).FD)

	ev := mustEvent(t, openatEvent(t))
	require.Zero(t, testing.AllocsPerRun(10, func() { d.Decode(ev) }))

	fresh, err := Decode(ev)
	require.NoError(t, err)
	require.NotSame(t, first, fresh)
	require.Equal(t, AtFDCWD, fresh.(*OpenatExit).DirFD)
}

func TestAnErrorOfDecodeMeansNoStruct(t *testing.T) {
	var d Decoder
	for name, tt := range map[string]struct {
		raw  []byte
		want error
	}{
		"a type without a struct":   {mustBuild(t, TypeOpenEnter+0x4000, 1, 2), ErrUntyped},
		"an old version":            {mustBuild(t, TypeExecveExitV8, 1, 2), ErrUntyped},
		"a number of another width": {mustBuild(t, TypeOpenatExit, 1, 2, []byte{1}), ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			ev := mustEvent(t, tt.raw)
			typed, err := d.Decode(ev)
			require.ErrorIs(t, err, tt.want)
			require.Nil(t, typed)
			typed, err = Decode(ev)
			require.ErrorIs(t, err, tt.want)
			require.Nil(t, typed)
		})
	}
}

func random(r *rand.Rand, n int) []byte {
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(r.Uint32())
	}
	return v
}
