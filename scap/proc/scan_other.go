// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package proc

import (
	"context"
	"errors"
	"fmt"

	"github.com/scaplab/scaplab/scap/event"
)

// Scan returns errors.ErrUnsupported: only Linux has the state that it reads.
func Scan(context.Context, Options) (*State, error) {
	return nil, fmt.Errorf("scan /proc: %w", errors.ErrUnsupported)
}

// ScanThread returns errors.ErrUnsupported.
func ScanThread(Options, event.PID) (*Thread, error) {
	return nil, fmt.Errorf("scan /proc: %w", errors.ErrUnsupported)
}
