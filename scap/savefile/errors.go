// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"errors"
	"fmt"
)

var (
	// ErrTruncated: the capture or its compressed stream ends inside a block. All
	// events before it were delivered. The writer may have crashed or still be
	// writing: once the file has grown, reading can go on.
	ErrTruncated = errors.New("capture is truncated")
	// ErrCorrupt: the next bytes cannot be a block, and reading cannot go on.
	ErrCorrupt = errors.New("capture is corrupt")
	// ErrNotCapture: the file does not begin like a capture.
	ErrNotCapture = errors.New("not a capture")
	// ErrVersion: the capture is of a newer major version of the format.
	ErrVersion = errors.New("capture is of a newer version of the format")
)

// Error is a failure at a place in the capture.
type Error struct {
	Path   string // of the capture; "" if it has none
	Offset int64  // of the block, in bytes of the uncompressed stream
	Step   string // what was being done
	Err    error  // wraps one of the sentinels above, or an error of the underlying reader
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("at byte %d: %s: %v", e.Offset, e.Step, e.Err)
	}
	return fmt.Sprintf("%s:%d: %s: %v", e.Path, e.Offset, e.Step, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
