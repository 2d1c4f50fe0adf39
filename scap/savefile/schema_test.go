// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/scaplab/scaplab/scap/event"
)

// A native capture says which schema its writer knew; one for released readers does not, and its header is as they write it.
func TestNativeCapturesStateTheirSchema(t *testing.T) {
	for _, compat := range []bool{false, true} {
		var b bytes.Buffer
		w, err := NewWriter(&b, WriterOptions{Compat: compat})
		require.NoError(t, err)
		require.NoError(t, w.Close())
		want := event.OwnSchemaVersion
		if compat {
			want = ""
			require.EqualValues(t, 28, binary.NativeEndian.Uint32(b.Bytes()[4:]))
		}
		r, err := NewReader(bytes.NewReader(b.Bytes()), Options{})
		require.NoError(t, err)
		require.Equal(t, want, r.Schema())
	}
}

func TestWhatOptionsOfASectionHeaderSay(t *testing.T) {
	option := func(code uint16, text string) string {
		b := binary.LittleEndian.AppendUint16(nil, code)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
		return string(append(append(b, text...), make([]byte, -len(text)&3)...))
	}
	own := option(4, "scaplab schema 1.12.0")
	for text, want := range map[string]string{
		own: "1.12.0",
		option(1, "a comment") + own + "\x00\x00\x00\x00": "1.12.0",
		"\x00\x00\x00\x00" + own:                          "",
		own[:len(own)-4]:                                  "",
		"\x04\x00\xff\xff" + own[4:]:                      "",
		option(4, "Dumpcap 4"):                            "",
		option(4, "scaplab schema 1.2.3\x1b[1m"):          "",
		option(4, "scaplab schema 1.2"):                   "",
		"\x04":                                            "",
		"":                                                "",
	} {
		require.Equal(t, want, writerSchema([]byte(text), binary.LittleEndian), "%q", text)
	}
}
