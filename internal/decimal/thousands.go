// SPDX-License-Identifier: Apache-2.0

package decimal

import "strconv"

// Thousands writes a number for readers: 1,234,567.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
