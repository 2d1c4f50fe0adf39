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

// What the archive says about a package or a suite. Any other error is about this
// machine, its apt or the network.
var (
	ErrGone    = errors.New("the archive does not have it")
	ErrDamaged = errors.New("the archive has other bytes than its index says")
)

// errPassing is an error of the network. The next try may succeed.
var errPassing = errors.New("may pass")

// OfKind returns err with a kind that errors.Is finds and that its text does not repeat.
func OfKind(err, kind error) error { return &kindError{err, kind} }

type kindError struct{ err, kind error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.err, e.kind} }

// failed begins apt's error line about one file. The address, two blanks and the
// reason follow.
const failed = "Failed to fetch "

// explain adds apt's own error lines to err, and the kind of error that they describe.
func explain(out string, err error) error {
	var lines, reasons []string
	fetching := true // all lines are about files that could not be fetched
	noSuite := false // apt prints this whatever the reason is that it has no Release file
	next := false    // the reason of an Err: line is on the next line
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
			} else if !strings.HasPrefix(e, "Some ") && !strings.HasSuffix(e, " is not signed.") { // these lines follow from the others
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
	// An E: line about a file makes the Err: line superfluous.
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

// httpStatus matches a reason given by the server rather than the network.
var httpStatus = regexp.MustCompile(`^[1-5][0-9][0-9]  `)

// kindOf returns the worst kind among the reasons. It is nil if a further try cannot help, or if there are no reasons.
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
