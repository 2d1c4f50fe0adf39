// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package proc

import (
	"errors"
	"fmt"

	"github.com/scaplab/scaplab/scap/event"
)

// Scan takes the state of a Linux system; elsewhere it fails with
// errors.ErrUnsupported.
func Scan(Options) (*State, error) {
	return nil, fmt.Errorf("scan /proc: %w", errors.ErrUnsupported)
}

// ScanThread is Scan for one thread.
func ScanThread(Options, event.PID) (*Thread, error) {
	return nil, fmt.Errorf("scan /proc: %w", errors.ErrUnsupported)
}
