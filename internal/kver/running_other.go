// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package kver

import (
	"errors"
	"runtime"
)

var errNotLinux = errors.New("not a Linux kernel: " + runtime.GOOS)

// Release is the running kernel's release; there is none here.
func Release() (string, error) { return "", errNotLinux }

// Running is the running kernel's version; there is none here.
func Running() (Version, error) { return Version{}, errNotLinux }
