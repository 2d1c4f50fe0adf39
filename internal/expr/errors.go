// SPDX-License-Identifier: Apache-2.0

package expr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing wrong with an expression, or with the text around it.
type Error struct {
	Pos     Pos
	Subject string // what it is about: "openat: flags"; may be ""
	Msg     string
}

func (e *Error) Error() string {
	if e.Subject == "" {
		return e.Pos.String() + ": " + e.Msg
	}
	return e.Pos.String() + ": " + e.Subject + ": " + e.Msg
}

// ErrorList is everything wrong with a text. The list that a parser returns has at
// least one Error and is in the order of their positions.
type ErrorList []*Error

func (l ErrorList) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns each error, for errors.As and errors.Is.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// Add appends an error.
func (l *ErrorList) Add(pos Pos, subject, format string, args ...any) {
	*l = append(*l, &Error{pos, subject, fmt.Sprintf(format, args...)})
}

// Sorted returns the errors in the order of their positions, without repetitions.
func (l ErrorList) Sorted() ErrorList {
	slices.SortStableFunc(l, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col),
			cmp.Compare(a.Msg, b.Msg))
	})
	return slices.CompactFunc(l, func(a, b *Error) bool { return a.Pos == b.Pos && a.Msg == b.Msg })
}
