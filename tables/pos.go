// SPDX-License-Identifier: Apache-2.0

package tables

import (
	"fmt"
	"sort"
	"strings"

	"github.com/scaplab/scaplab/internal/expr"
)

// Error is one thing wrong with the table.
type Error struct {
	Pos     expr.Pos
	Subject string // the entry, and the part of it: "openat: flags"; "" for a whole file
	Msg     string
}

func (e *Error) Error() string {
	if e.Subject == "" {
		return e.Pos.String() + ": " + e.Msg
	}
	return e.Pos.String() + ": " + e.Subject + ": " + e.Msg
}

// ErrorList is everything wrong with a table, sorted by position.
type ErrorList []*Error

func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As and errors.Is each error.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// add appends an error.
func (l *ErrorList) add(pos expr.Pos, subject, format string, args ...any) {
	*l = append(*l, &Error{pos, subject, fmt.Sprintf(format, args...)})
}

// sorted orders by position and drops what is said twice of one place: a group
// is resolved once for each event that uses it.
func (l ErrorList) sorted() ErrorList {
	sort.SliceStable(l, func(i, j int) bool {
		a, b := l[i], l[j]
		if a.Pos.File != b.Pos.File {
			return a.Pos.File < b.Pos.File
		}
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line < b.Pos.Line
		}
		if a.Pos.Col != b.Pos.Col {
			return a.Pos.Col < b.Pos.Col
		}
		return a.Msg < b.Msg
	})
	var out ErrorList
	for i, e := range l {
		if i > 0 && e.Pos == l[i-1].Pos && e.Msg == l[i-1].Msg {
			continue
		}
		out = append(out, e)
	}
	return out
}
