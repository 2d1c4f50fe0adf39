// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"regexp"
	"strings"
)

// complaintRE matches what a kernel says when something is wrong with it, fatal or not.
var complaintRE = regexp.MustCompile(`\bBUG\b|\bWARNING: |Oops|general protection fault|Call Trace|possible (recursive|circular) locking|` +
	`suspicious RCU usage|self-detected stall|detected stalls|blocked for more than|Bad page|list_(add|del) corruption|use-after-free|scheduling while atomic|refcount_t`)

// Complaint returns the first line of a kernel's log that tells of a bug; "" when there is none.
func Complaint(log string) string {
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(stampRE.ReplaceAllString(line, ""))
		if complaintRE.MatchString(line) {
			return line
		}
	}
	return ""
}
