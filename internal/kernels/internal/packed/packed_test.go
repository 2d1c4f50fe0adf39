// SPDX-License-Identifier: Apache-2.0

package packed_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/internal/kernels/internal/kerneltest"
	"github.com/scaplab/scaplab/internal/kernels/internal/packed"
)

func TestSizesAreReadInFull(t *testing.T) {
	got, err := packed.ReadFull(strings.NewReader("some text"), 4, 1<<40)
	require.NoError(t, err)
	require.Equal(t, "some", string(got))
	got, err = packed.ReadFull(strings.NewReader(""), 0, 0)
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = packed.ReadFull(strings.NewReader("some"), 1<<40, 1)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = packed.ReadFull(strings.NewReader(""), 1, 0)
	require.ErrorIs(t, err, io.EOF)
}

// A few bytes may ask for a window of gigabytes.
func TestWindowsAreBounded(t *testing.T) {
	data := kerneltest.Compressed(t, "xz", []byte("text"))
	header := data[12:][:(int(data[12])+1)*4] // of the first block, which ends with its checksum
	at := bytes.Index(header, []byte{0x21, 0x01})
	require.Positive(t, at, "the LZMA2 filter, with a byte of properties")
	header[at+2] = 40 // a dictionary of 4 GiB
	end := len(header) - 4
	binary.LittleEndian.PutUint32(header[end:], crc32.ChecksumIEEE(header[:end]))
	kerneltest.InBoundedMemory(t, func() {
		for _, row := range []struct {
			method string
			data   []byte
			want   string
		}{
			{"xz", data, "dictionary size exceeds max"},
			{"zst", []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), "window size exceeded"}, // of 2 GiB
		} {
			r, err := packed.Reader(row.method, bytes.NewReader(row.data))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			require.ErrorContains(t, err, row.want, row.method)
		}
	})
	_, err := packed.Reader("br", nil)
	require.EqualError(t, err, `unknown compression "br"`)
}

func FuzzReader(f *testing.F) {
	for _, method := range []string{"", "gz", "xz", "zst", "lz4"} {
		f.Add(method, kerneltest.Compressed(f, method, []byte("some text, some text, some text")))
	}
	f.Fuzz(func(t *testing.T, method string, data []byte) {
		kerneltest.InBoundedMemory(t, func() {
			r, err := packed.Reader(method, bytes.NewReader(data))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
			_ = r.Close()
		})
	})
}
