// SPDX-License-Identifier: Apache-2.0

package hint

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDidYouMean(t *testing.T) {
	many := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "openat"}
	for _, row := range []struct {
		name, word string
		known      []string
		want       string
	}{
		{"a letter is missing", "opnat", many, " (did you mean openat?)"},
		{"two letters are swapped", "oepnat", many, " (did you mean openat?)"},
		{"the case differs", "OpenAt", many, " (did you mean openat?)"},
		{"a short word has to be nearer", "xy", many, ""},
		{"few words are listed", "something", []string{"one", "two"}, " (known: one, two)"},
		{"many words are not", "something", many, ""},
		{"nothing is known", "something", nil, ""},
	} {
		require.Equal(t, row.want, DidYouMean(row.word, row.known), row.name)
	}
}

func TestEditDistance(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"open", "open", 0}, {"opne", "open", 1}, {"kitten", "sitting", 3}, {"abcdef", "x", 5}, {"abcdef", "uvwxyz", 5}} {
		require.Equal(t, row.want, editDistance(row.a, row.b, 5), "%s %s", row.a, row.b)
		require.Equal(t, row.want, editDistance(row.b, row.a, 5), "%s %s", row.b, row.a)
	}
	require.Equal(t, " (did you mean proc.name?)", DidYouMean("proc.nmae", []string{"fd.name", "proc.name"}))
	require.Equal(t, " (known: a, b)", DidYouMean("xyz", []string{"a", "b"}))
	require.Equal(t, "", DidYouMean("xyz", nil))
}
