// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

const diffLines = 60 // per file; the rest is only counted

// Diff returns a unified diff between a file and its wanted text; "" if they are equal.
func Diff(path string, old, new []byte) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: textLines(old), FromFile: path,
		B: textLines(new), ToFile: path + " (as it should be)",
		Context: 2,
	})
	if err != nil { // never: it writes to a strings.Builder
		panic(err)
	}
	lines := strings.SplitAfter(text, "\n")
	if len(lines) <= diffLines+3 {
		return text
	}
	return strings.Join(lines[:diffLines+3], "") + fmt.Sprintf("... %d more lines\n", len(lines)-diffLines-4)
}

func textLines(text []byte) []string {
	lines := strings.SplitAfter(string(text), "\n")
	if last := len(lines) - 1; lines[last] == "" {
		lines = lines[:last]
	} else {
		lines[last] += "\n"
	}
	return lines
}
