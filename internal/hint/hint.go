// SPDX-License-Identifier: Apache-2.0

// Package hint finds the known word that a misspelt one was meant to be.
package hint

import "strings"

// DidYouMean suggests the known word nearest to a misspelt one, or lists few
// known words, or says nothing.
func DidYouMean(word string, known []string) string {
	best, dist := "", 3
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), strings.ToLower(k), dist); d < dist && 3*d <= len(word)+1 {
			best, dist = k, d
		}
	}
	if best != "" {
		return " (did you mean " + best + "?)"
	}
	if len(known) > 0 && len(known) <= 12 {
		return " (known: " + strings.Join(known, ", ") + ")"
	}
	return ""
}

// editDistance is the Levenshtein distance, with a swap of neighbours as one
// step; it stops counting at limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	var prev, cur, old []int
	prev = make([]int, len(b)+1)
	cur = make([]int, len(b)+1)
	old = make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], old[j-2]+1)
			}
		}
		old, prev, cur = prev, cur, old
	}
	return min(prev[len(b)], limit)
}
