// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// boxed returns a stream whose writer and reader share a mailbox, and that memory.
func boxed() (stream *bytes.Buffer, w *Writer, r *Reader, mem []byte) {
	stream, mem = new(bytes.Buffer), make([]byte, MailboxSize)
	w, r = NewWriter(stream), NewReader(stream)
	w.Use(NewMailbox(mem))
	r.Use(NewMailbox(mem))
	return stream, w, r, mem
}

func TestPayloadsPassThroughTheMailbox(t *testing.T) {
	stream, w, r, mem := boxed()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 { // some 50 times around
		var sent [][]byte
		for range 1 + rng.IntN(5) {
			p := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(40<<10))
			require.NoError(t, w.Write(p))
			sent = append(sent, p)
		}
		require.Equal(t, len(sent)*(headerSize+placeSize), stream.Len(), "no payload is in the stream")
		for _, p := range sent {
			got, err := r.Next()
			require.NoError(t, err)
			require.True(t, bytes.Equal(p, got))
		}
		// Of a saved machine the memory is restored, and the host begins anew.
		r = NewReader(stream)
		r.Use(NewMailbox(mem))
	}
	_, err := r.Next()
	require.ErrorIs(t, err, io.EOF)
}

func TestWhatTheMailboxCannotTakePassesThroughTheStream(t *testing.T) {
	stream, w, r, _ := boxed()
	w.box.limit = 0
	large := bytes.Repeat([]byte("l"), MailboxSize/2)
	require.NoError(t, w.Write(large))
	require.Greater(t, stream.Len(), len(large), "it is more than half of the ring")
	var sent [][]byte
	for i := range 40 { // more than it holds: nobody reads
		sent = append(sent, bytes.Repeat([]byte{byte(i)}, 30<<10))
		require.NoError(t, w.Write(sent[i]))
	}
	for _, p := range append([][]byte{large}, sent...) {
		got, err := r.Next()
		require.NoError(t, err)
		require.True(t, bytes.Equal(p, got))
	}
	require.NoError(t, w.Write(sent[0]))
	require.Equal(t, headerSize+placeSize, stream.Len(), "there is room again")
}

func TestDamageInAMailboxIsNamed(t *testing.T) {
	at := func(position uint64, length int) []byte {
		head := appendHeader(nil, magicBox, 1, make([]byte, length))
		return binary.LittleEndian.AppendUint64(head, position)
	}
	for name, change := range map[string]func(stream *bytes.Buffer, r *Reader, mem []byte){
		"a byte in memory": func(_ *bytes.Buffer, _ *Reader, mem []byte) { mem[mailboxHead+3] ^= 1 },
		"the position":     func(s *bytes.Buffer, _ *Reader, _ []byte) { s.Bytes()[headerSize] ^= 1 },
		"no mailbox":       func(_ *bytes.Buffer, r *Reader, _ []byte) { r.Use(nil) },
		"beyond the end":   func(s *bytes.Buffer, _ *Reader, _ []byte) { s.Reset(); s.Write(at(MailboxSize-mailboxHead-1, 2)) },
		"too long":         func(s *bytes.Buffer, _ *Reader, _ []byte) { s.Reset(); s.Write(at(0, MailboxSize)) },
	} {
		t.Run(name, func(t *testing.T) {
			stream, w, r, mem := boxed()
			require.NoError(t, w.Write([]byte("payload")))
			change(stream, r, mem)
			_, err := r.Next()
			var garbled *GarbledError
			require.ErrorAs(t, err, &garbled)
			require.Contains(t, garbled.Reason, "wrong checksum of record 1")
		})
	}
}

func FuzzReaderWithMailbox(f *testing.F) {
	stream, w, _, mem := boxed()
	for _, p := range []string{"one", "two"} {
		if err := w.Write([]byte(p)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(stream.Bytes(), mem[mailboxHead:mailboxHead+100])
	f.Add(Append(nil, 1, []byte("in the stream")), []byte{})
	f.Fuzz(func(t *testing.T, in, ring []byte) {
		mem := make([]byte, MailboxSize)
		copy(mem[mailboxHead:], ring)
		rd := NewReader(bytes.NewReader(in))
		rd.Use(NewMailbox(mem))
		for calls := 0; ; calls++ {
			require.LessOrEqual(t, calls, 2*len(in)+2, "no progress")
			_, err := rd.Next()
			var garbled *GarbledError
			if err != nil && !errors.As(err, &garbled) {
				require.ErrorIs(t, err, io.EOF)
				return
			}
		}
	})
}
