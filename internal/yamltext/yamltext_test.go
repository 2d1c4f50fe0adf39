// SPDX-License-Identifier: Apache-2.0

package yamltext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"
)

// Each character of a value is found where the file has it, in every style.
func TestPositionsAreThoseOfTheCharacters(t *testing.T) {
	for _, src := range []string{
		"k: plain text\n", "k: 'it''s quoted'\n", "k: \"a \\\"b\\\" c\"\n", "k: \"żółw \\u0041 \\x41 d\"\n",
		"k: >\n  folded text\n  of lines\n\nl: m\n", "k: |\n  literal\n    indented\n  text\n", "k: >-\n\n  after a blank line\n",
		"k: plain text\n  of two lines\n", "k: \"quoted\n  on two\"\n", "k: [a, bc, 'd e']\n", "k:\n  - a b\n  - c\r\n",
	} {
		text := New("f", src)
		var doc yaml.Node
		require.NoError(t, Decode(yaml.NewDecoder(strings.NewReader(src)), &doc), "%q", src)
		var walk func(n *yaml.Node)
		walk = func(n *yaml.Node) {
			for _, c := range n.Content {
				walk(c)
			}
			if n.Kind != yaml.ScalarNode {
				return
			}
			runes := []rune(n.Value)
			places := text.Positions(n)
			require.Len(t, places, len(runes)+1, "%q", src)
			for i, r := range runes {
				rest := text.Rest(places[i].Line, places[i].Col)
				switch {
				case r == '\n' || r == ' ' && !strings.HasPrefix(rest, " "): // a line break
					require.Empty(t, strings.TrimSpace(rest), "%q: character %d", src, i)
				case strings.HasPrefix(rest, `\`) || strings.HasPrefix(rest, "''"): // an escape
				default:
					require.True(t, strings.HasPrefix(rest, string(r)), "%q: character %d is %q, at %s", src, i, r, rest)
				}
			}
		}
		walk(&doc)
	}
}

func TestBlameFindsTheMistake(t *testing.T) {
	for src, want := range map[string]string{
		"a: [b, c\nd: e\n": "f:1:4", "a: \"b\nc: d\n": "f:1:4", "a: b\n\tc: d\n": "f:2:1", "- a\n-b: c\n": "f:2:1",
	} {
		var doc yaml.Node
		err := Decode(yaml.NewDecoder(strings.NewReader(src)), &doc)
		require.Error(t, err, "%q", src)
		at, msg := New("f", src).Blame(err)
		require.Equal(t, want, at.String(), "%q: %s", src, msg)
	}
}
