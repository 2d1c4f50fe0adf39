// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !amd64

package env

import (
	"errors"
	"runtime"
)

// HasIA32 reports why this kernel takes no 32-bit system calls of x86.
func HasIA32() error {
	return errors.New(runtime.GOOS + "/" + runtime.GOARCH + " has no 32-bit calls of x86")
}
