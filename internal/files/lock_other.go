// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package files

import (
	"context"
	"errors"
)

// Lock needs Unix.
func Lock(context.Context, string) (unlock func(), err error) {
	return nil, errNoLocks
}

// TemporaryLock needs Unix.
func TemporaryLock(context.Context, string) (unlock func(), err error) { return nil, errNoLocks }

// Slot needs Unix.
func Slot(context.Context, string, int) (release func(), err error) { return nil, errNoLocks }

// TryLock needs Unix.
func TryLock(string) (unlock func(), free bool, err error) { return nil, false, errNoLocks }

var errNoLocks = errors.New("file locks need a Unix system")
