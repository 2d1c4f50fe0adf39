// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kver

import (
	"errors"
	"runtime"
)

var errNotLinux = errors.New("not a Linux kernel: " + runtime.GOOS)

// Release returns an error: the system is not Linux.
func Release() (string, error) { return "", errNotLinux }

// Running returns an error: the system is not Linux.
func Running() (Version, error) { return Version{}, errNotLinux }
