// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestRecordsArriveAsSent(t *testing.T) {
	payloads := [][]byte{{}, []byte("x"), bytes.Repeat([]byte{0xfa, 0xc1, 0xe5, 0xb9}, 5000), make([]byte, 200<<10)}
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, p := range payloads {
		require.NoError(t, w.Write(p))
	}
	for name, r := range map[string]io.Reader{
		"whole":       bytes.NewReader(b.Bytes()),
		"byte-wise":   iotest.OneByteReader(bytes.NewReader(b.Bytes())),
		"end at once": iotest.DataErrReader(bytes.NewReader(b.Bytes())),
	} {
		rd := NewReader(r)
		for i, p := range payloads {
			got, err := rd.Next()
			require.NoError(t, err, "%s: record %d", name, i)
			require.True(t, bytes.Equal(p, got), "%s: record %d", name, i)
		}
		_, err := rd.Next()
		require.ErrorIs(t, err, io.EOF, name)
	}
}

func TestDamageIsNamedAndSkipped(t *testing.T) {
	good := Append(nil, 7, []byte("after"))
	edit := func(at int, b byte) []byte {
		r := Append(nil, 6, []byte("broken payload"))
		r[at] ^= b
		return r
	}
	rows := []struct {
		name    string
		in      []byte
		reason  string
		skipped int
	}{
		{"text before a record", []byte("SeaBIOS (version 1.16)\r\n"), "no record header", 24},
		{"a payload byte flipped", edit(headerSize+3, 0x40), "wrong checksum of record 6", headerSize + 14},
		{"the length changed", edit(9, 0x10), "wrong header checksum", headerSize + 14},
		{"the magic changed", edit(0, 0x01), "no record header", headerSize + 14},
		{"a record cut in its header", Append(nil, 6, []byte("lost"))[:11], "wrong header checksum", 11},
		{"a record cut in its payload", Append(nil, 6, make([]byte, 100))[:headerSize+9], "wrong checksum of record 6", headerSize + 9},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			// The length of the cut record covers the next ones. These are then read again.
			in := append(append(bytes.Clone(row.in), good...), Append(nil, 8, make([]byte, 100))...)
			rd := NewReader(bytes.NewReader(in))
			_, err := rd.Next()
			var garbled *GarbledError
			require.ErrorAs(t, err, &garbled)
			require.Equal(t, row.reason, garbled.Reason)
			require.Equal(t, row.skipped, garbled.Skipped)
			require.True(t, bytes.HasPrefix(row.in, garbled.Excerpt[:min(len(garbled.Excerpt), len(row.in))]))
			got, err := rd.Next()
			require.NoError(t, err)
			require.Equal(t, "after", string(got))
			_, err = rd.Next()
			require.NoError(t, err)
			_, err = rd.Next()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestMissingRecordsAreCounted(t *testing.T) {
	in := Append(Append(Append(nil, 41, []byte("a")), 45, []byte("b")), 1, []byte("c"))
	rd := NewReader(bytes.NewReader(in))
	_, err := rd.Next()
	require.NoError(t, err, "a reader may join a running stream")
	_, err = rd.Next()
	var garbled *GarbledError
	require.ErrorAs(t, err, &garbled)
	require.EqualError(t, garbled, "garbled data: record 45 where 42 was expected, 3 records lost")
	got, err := rd.Next()
	require.NoError(t, err)
	require.Equal(t, "b", string(got))
	_, err = rd.Next()
	require.EqualError(t, err, "garbled data: record 1 where 46 was expected", "the sender started again: nobody knows how many are lost")
}

func TestEveryCutIsToldFromTheEnd(t *testing.T) {
	full := Append(nil, 1, []byte("payload"))
	for n := range full {
		rd := NewReader(bytes.NewReader(full[:n]))
		_, err := rd.Next()
		if n == 0 {
			require.ErrorIs(t, err, io.EOF)
			continue
		}
		var garbled *GarbledError
		require.ErrorAs(t, err, &garbled, "%d bytes", n)
		reason := "stream ends inside a record header"
		if n >= headerSize {
			reason = "record 1 cut short by the end of the stream"
		}
		require.Equal(t, reason, garbled.Reason, "%d bytes", n)
		require.Equal(t, n, garbled.Skipped)
		_, err = rd.Next()
		require.ErrorIs(t, err, io.EOF, "%d bytes", n)
	}
}

func TestReadErrorsAreNotTakenForDamage(t *testing.T) {
	broken := errors.New("port is gone")
	for _, n := range []int{0, 5, headerSize + 2} {
		rd := NewReader(io.MultiReader(bytes.NewReader(Append(nil, 1, []byte("payload"))[:n]), iotest.ErrReader(broken)))
		_, err := rd.Next()
		require.ErrorIs(t, err, broken, "after %d bytes", n)
	}
}

func TestTooLargePayloadIsRefusedOnBothSides(t *testing.T) {
	require.ErrorIs(t, NewWriter(io.Discard).Write(make([]byte, MaxPayload+1)), ErrTooLarge)
	rd := NewReader(bytes.NewReader(Append(nil, 1, make([]byte, MaxPayload+1))))
	_, err := rd.Next()
	require.ErrorContains(t, err, "record of 16777217 bytes (at most 16777216)")
}

func TestMessages(t *testing.T) {
	var b bytes.Buffer
	c := NewConn(&b)
	require.NoError(t, c.Send("hello", map[string]int{"n": 1}))
	kind, body, err := c.Receive()
	require.NoError(t, err)
	require.Equal(t, "hello", kind)
	require.JSONEq(t, `{"n":1}`, string(body))

	require.ErrorContains(t, c.Send("", nil), "must have 1 to 255 bytes")
	require.ErrorContains(t, c.Send(strings.Repeat("k", 256), nil), "must have 1 to 255 bytes")
	require.ErrorContains(t, c.Send("f", func() {}), "send f: json: unsupported type")
	for _, payload := range []string{"", "\x00{}", "\x05ab"} {
		require.NoError(t, c.Write([]byte(payload)))
		_, _, err = c.Receive()
		require.ErrorContains(t, err, "is not a message", "%q", payload)
	}
}

// Records that arrive whole are found, in order, whatever is between them, and
// nothing else is found.
func TestResynchronisesAfterAnyGarbage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var in []byte
		var want []string
		for i := range 1 + rng.IntN(6) {
			switch rng.IntN(3) {
			case 0:
				junk := make([]byte, rng.IntN(60))
				for j := range junk {
					junk[j] = byte(rng.Uint32())
				}
				in = append(in, junk...)
			case 1:
				r := Append(nil, uint32(i), make([]byte, rng.IntN(40)))
				in = append(in, r[:rng.IntN(len(r))]...)
			}
			p := strings.Repeat("p", rng.IntN(50)) + string(rune('a'+i))
			in = Append(in, uint32(i), []byte(p))
			want = append(want, p)
		}
		in = append(in, make([]byte, 64)...) // the last record ends a cut record before it
		var got []string
		rd := NewReader(bytes.NewReader(in))
		for {
			p, err := rd.Next()
			var garbled *GarbledError
			if errors.As(err, &garbled) {
				continue
			}
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
			got = append(got, string(p))
		}
		require.Equal(t, want, got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(Append(Append(nil, 1, []byte("one")), 2, []byte("two")))
	f.Add([]byte("console text"))
	f.Add(Append(nil, 1, make([]byte, 70))[:50])
	f.Fuzz(func(t *testing.T, in []byte) {
		rd := NewReader(bytes.NewReader(in))
		accounted := 0
		for calls := 0; ; calls++ {
			require.LessOrEqual(t, calls, 2*len(in)+2, "no progress")
			p, err := rd.Next()
			var garbled *GarbledError
			switch {
			case err == nil:
				accounted += headerSize + len(p)
				require.True(t, bytes.Contains(in, p))
			case errors.As(err, &garbled):
				accounted += garbled.Skipped
			default:
				require.ErrorIs(t, err, io.EOF)
				require.Equal(t, len(in), accounted, "every byte is in a record or reported as skipped")
				return
			}
		}
	})
}
