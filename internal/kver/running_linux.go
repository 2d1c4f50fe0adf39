// SPDX-License-Identifier: Apache-2.0

package kver

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Release returns the running kernel's release, as `uname -r` prints it.
func Release() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// Running returns the running kernel's version.
func Running() (Version, error) {
	release, err := Release()
	if err != nil {
		return Version{}, err
	}
	return Parse(release)
}
