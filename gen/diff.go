// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

const diffLines = 60 // of one file; the rest is counted

// Diff is a unified diff of a file with what it should be; "" when they are equal.
func Diff(path string, old, new []byte) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: textLines(old), FromFile: path,
		B: textLines(new), ToFile: path + " (as it should be)",
		Context: 2,
	})
	if err != nil { // of a strings.Builder: it has none
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
