// SPDX-License-Identifier: Apache-2.0

package event

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

type typedDecoder interface{ Decode(buf []byte) error }

// checkDecoder decodes an accepted event and compares each field with the param
// of its place.
func checkDecoder(tb testing.TB, ev *Event) {
	tb.Helper()
	newDecoder := decoders[ev.Type()]
	if newDecoder == nil {
		return
	}
	d := newDecoder()
	fields := reflect.ValueOf(d).Elem()
	info := ev.Info()
	require.Equal(tb, len(info.Params)+1, fields.NumField(), info.Symbol)
	err := d.Decode(ev.Bytes())
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
	require.Greater(t, len(decoders), 100)
	r := rand.New(rand.NewPCG(13, 14))
	for code, newDecoder := range decoders {
		info := Lookup(code)
		require.NotNil(t, info, "type %d", code)
		var ev Event
		for range 20 {
			full := sample(t, info, r)
			require.NoError(t, ev.Reset(full, 0))
			checkDecoder(t, &ev)

			d := newDecoder()
			fields := reflect.ValueOf(d).Elem()
			for n := range full { // every proper prefix
				if err := d.Decode(full[:n]); err != ErrTruncated {
					require.ErrorIs(t, err, ErrTruncated, "%s: %d of %d bytes", info.Symbol, n, len(full))
				}
			}
			require.True(t, fields.IsZero(), info.Symbol)
			require.Zero(t, testing.AllocsPerRun(1, func() { d.Decode(full) }), info.Symbol)

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
				require.NoError(t, ev.Reset(short, 0))
				checkDecoder(t, &ev)
			}
		}
		other := sample(t, info, r)
		binary.NativeEndian.PutUint16(other[20:], uint16(typeEveryWidth))
		require.ErrorIs(t, newDecoder().Decode(other), ErrType, info.Symbol)
		for i := range info.Params {
			if size, ok := info.Params[i].Type.Size(); ok {
				params := [][]byte{}
				for j := range info.Params {
					params = append(params, nil)
					if j == i {
						params[j] = append(params[j], random(r, size+1)...)
					}
				}
				require.ErrorIs(t, newDecoder().Decode(mustBuild(t, code, 1, 2, params...)), ErrCorrupt, "%s.%s", info.Symbol, info.Params[i].Name)
			}
		}
	}
}

func random(r *rand.Rand, n int) []byte {
	v := make([]byte, n)
	for i := range v {
		v[i] = byte(r.Uint32())
	}
	return v
}
