// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"fmt"
	"strings"
)

// Priority says how severe an alert is; 0 is the most severe. The numbers are those of
// syslog.
type Priority uint8

const (
	Emergency Priority = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Informational
	Debug
)

var priorityNames = [...]string{"Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"}

// String returns the name that alerts have.
func (p Priority) String() string { return priorityNames[min(int(p), len(priorityNames)-1)] }

// ParsePriority returns the priority with a name, in letters of any case.
func ParsePriority(name string) (Priority, error) {
	if strings.EqualFold(name, "info") {
		return Informational, nil
	}
	for p, known := range priorityNames {
		if strings.EqualFold(name, known) {
			return Priority(p), nil
		}
	}
	return 0, fmt.Errorf("unknown priority %q (known: %s)", name, strings.Join(priorityNames[:], ", "))
}
