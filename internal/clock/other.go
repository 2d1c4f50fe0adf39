// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package clock

import (
	"errors"
	"time"
)

// BootOffset fails: it needs Linux.
func BootOffset() (uint64, error) { return 0, errors.ErrUnsupported }

// SinceBoot returns 0: it needs Linux.
func SinceBoot() uint64 { return 0 }

// Watch is for Linux only.
type Watch struct{}

// NewWatch fails: it needs Linux.
func NewWatch(func(offset uint64, by time.Duration)) (*Watch, error) {
	return nil, errors.ErrUnsupported
}

// Close does nothing.
func (*Watch) Close() error { return nil }
