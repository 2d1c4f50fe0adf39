// SPDX-License-Identifier: Apache-2.0

package jsontext

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStringsAreReadBack(t *testing.T) {
	var all strings.Builder
	for r := range rune(0x100) {
		all.WriteRune(r)
	}
	for _, s := range []string{"", "plain", `"quotes" and \\ backslashes`, all.String(), "Ünïcödé \U0001f600", "\u2028"} {
		text := AppendString([]byte("x"), []byte(s))
		var got string
		require.NoError(t, json.Unmarshal(text[1:], &got), "%s", text)
		require.Equal(t, s, got)
	}
	require.Equal(t, "\"a\ufffdb\ufffd\"", string(AppendString(nil, []byte("a\xffb\xc3"))))
}
