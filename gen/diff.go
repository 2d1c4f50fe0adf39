// SPDX-License-Identifier: Apache-2.0

package gen

import (
	"fmt"
	"strings"
)

const (
	diffContext = 2
	diffLines   = 60 // per file; the rest is counted
)

// writeDiff writes how text changes as hunks of a unified diff.
func writeDiff(b *strings.Builder, path string, old, new []byte) {
	a, z := splitLines(old), splitLines(new)
	fmt.Fprintf(b, "--- %s\n+++ %s (generated now)\n", path, path)
	pre := 0
	for pre < len(a) && pre < len(z) && a[pre] == z[pre] {
		pre++
	}
	post := 0
	for post < len(a)-pre && post < len(z)-pre && a[len(a)-1-post] == z[len(z)-1-post] {
		post++
	}
	ops := diffOps(a[pre:len(a)-post], z[pre:len(z)-post])
	from, to := max(0, pre-diffContext), min(len(a), len(a)-post+diffContext)
	fmt.Fprintf(b, "@@ -%d +%d @@\n", from+1, from+1)
	var lines []string
	for _, l := range a[from:pre] {
		lines = append(lines, " "+l)
	}
	lines = append(lines, ops...)
	for _, l := range a[len(a)-post : to] {
		lines = append(lines, " "+l)
	}
	for i, l := range lines {
		if i == diffLines {
			fmt.Fprintf(b, "... %d more lines\n", len(lines)-i)
			break
		}
		b.WriteString(l + "\n")
	}
}

func splitLines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// diffOps is the longest common subsequence of the two, with what goes and what
// comes. Long texts are not compared line by line: everything goes, everything
// comes.
func diffOps(a, z []string) []string {
	var out []string
	if len(a)*len(z) > 4<<20 {
		for _, l := range a {
			out = append(out, "-"+l)
		}
		for _, l := range z {
			out = append(out, "+"+l)
		}
		return out
	}
	common := make([][]int32, len(a)+1) // of a[i:] and z[j:]
	for i := range common {
		common[i] = make([]int32, len(z)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(z) - 1; j >= 0; j-- {
			if a[i] == z[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(z) {
		switch {
		case i < len(a) && j < len(z) && a[i] == z[j]:
			out = append(out, " "+a[i])
			i++
			j++
		case i < len(a) && (j == len(z) || common[i+1][j] >= common[i][j+1]):
			out = append(out, "-"+a[i])
			i++
		default:
			out = append(out, "+"+z[j])
			j++
		}
	}
	return out
}
