// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// LineError is an error at a place of a text: Line and Col count from 1.
type LineError struct {
	Line, Col int
	Text      string
}

// annotation is `# ERROR: text`, or `# ERROR 39: text` when the column counts.
var annotation = regexp.MustCompile(`# ERROR(?: (\d+))?: *`)

// Annotations reads what errors a text says it has: each on the line that
// causes it, several one behind the other. Col is 0 where none is given.
func Annotations(src string) []LineError {
	var want []LineError
	for i, line := range strings.Split(src, "\n") {
		at := annotation.FindAllStringSubmatchIndex(line, -1)
		for j, m := range at {
			end := len(line)
			if j+1 < len(at) {
				end = at[j+1][0]
			}
			e := LineError{Line: i + 1, Text: strings.TrimSpace(line[m[1]:end])}
			if m[2] >= 0 {
				e.Col, _ = strconv.Atoi(line[m[2]:m[3]])
			}
			want = append(want, e)
		}
	}
	return want
}

// Annotated compares errors with the annotations of src: each error must hold
// the text of one annotation of its line, and the other way round.
func Annotated(tb testing.TB, name, src string, got []LineError) {
	tb.Helper()
	want := Annotations(src)
	var wrong []string
	for _, g := range got {
		i := slices.IndexFunc(want, func(w LineError) bool {
			return w.Line == g.Line && (w.Col == 0 || w.Col == g.Col) && strings.Contains(g.Text, w.Text)
		})
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("%s:%d:%d: unexpected error: %s", name, g.Line, g.Col, g.Text))
			continue
		}
		want = slices.Delete(want, i, i+1)
	}
	for _, w := range want {
		col := ""
		if w.Col > 0 {
			col = fmt.Sprintf(":%d", w.Col)
		}
		wrong = append(wrong, fmt.Sprintf("%s:%d%s: no such error: %s", name, w.Line, col, w.Text))
	}
	if len(wrong) > 0 {
		tb.Errorf("%s", strings.Join(wrong, "\n"))
	}
}
