// SPDX-License-Identifier: Apache-2.0

package apt

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/scaplab/scaplab/internal/env"
)

// What the archive says of a package or a suite. Any other error is about this
// machine, its apt or the way to the archive, and says nothing about either.
var (
	ErrGone    = errors.New("the archive does not have it")
	ErrDamaged = errors.New("the archive has other bytes than its index says")
)

// errPassing is an error of the network, which may be gone at the next try.
var errPassing = errors.New("may pass")

// OfKind returns err with a kind that errors.Is finds and its text does not repeat.
func OfKind(err, kind error) error { return &kindError{err, kind} }

type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }

// failed is how apt begins an error line about one file; the address follows, two
// blanks, and the reason.
const failed = "Failed to fetch "

// explain adds apt's own error lines to err, and what kind of error they tell of.
func explain(out string, err error) error {
	var lines, reasons []string
	fetching := true // the lines tell of files that could not be fetched, and of nothing else
	noSuite := false // apt says so, whyever the file that says what the suite has did not come
	next := false    // the reason of an Err: line stands in the next
	for l := range strings.Lines(out) {
		indented := strings.HasPrefix(l, "  ")
		l = strings.TrimSpace(l)
		switch e, isE := strings.CutPrefix(l, "E: "); {
		case isE:
			lines = append(lines, e)
			if rest, ok := strings.CutPrefix(e, failed); ok {
				_, reason, _ := strings.Cut(rest, "  ")
				reasons = append(reasons, reason)
			} else if strings.HasSuffix(e, " does not have a Release file.") {
				noSuite = true
			} else if !strings.HasPrefix(e, "Some ") && !strings.HasSuffix(e, " is not signed.") { // which follow from the others
				fetching = false
			}
		case strings.HasPrefix(l, "Err:"):
			lines = append(lines, l)
		case next && indented:
			lines[len(lines)-1] += ": " + l
			reasons = append(reasons, l)
		}
		next = strings.HasPrefix(l, "Err:")
	}
	if len(lines) == 0 {
		return err
	}
	// What an E: line says of a file needs no Err: line besides.
	told := strings.Join(slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.HasPrefix(l, "Err:") }), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		_, reason, ok := strings.Cut(l, ": ")
		return strings.HasPrefix(l, "Err:") && ok && strings.Contains(told, reason)
	})
	said := strings.Join(lines, "; ")
	err = fmt.Errorf("%w: %s", err, said)
	if strings.Contains(said, "enough free space") {
		said += syscall.ENOSPC.Error()
	}
	if disk := env.DiskSaid(err, said); env.IsDisk(disk) {
		return disk
	}
	if noSuite && len(reasons) == 0 {
		return OfKind(err, ErrGone)
	}
	if kind := kindOf(reasons); fetching && kind != nil {
		return OfKind(err, kind)
	}
	return err
}

// httpStatus is a reason that a server gave, not the way to it.
var httpStatus = regexp.MustCompile(`^[1-5][0-9][0-9]  `)

// kindOf is the kind of the worst of the reasons; nil is one that a further try does not mend, or that there are none.
func kindOf(reasons []string) error {
	if len(reasons) == 0 {
		return nil
	}
	kind := ErrGone
	for _, r := range reasons {
		switch {
		case strings.HasPrefix(r, "404  "), strings.HasPrefix(r, "410  "), strings.HasPrefix(r, "File not found"):
		case strings.HasPrefix(r, "Hash Sum mismatch"), strings.HasPrefix(r, "File has unexpected size"):
			if kind == ErrGone {
				kind = ErrDamaged
			}
		case strings.Contains(r, "signature"):
			return nil
		case httpStatus.MatchString(r) && r[0] != '5' && !strings.HasPrefix(r, "408") && !strings.HasPrefix(r, "429"):
			return nil
		default:
			kind = errPassing
		}
	}
	return kind
}
