// SPDX-License-Identifier: Apache-2.0

// Package kver reads and compares kernel versions.
package kver

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a kernel version: 6.1 is {6, 1, 0}.
type Version struct{ Major, Minor, Patch int }

// Parse reads a version, or the version a release (uname -r) starts with:
// "6.1", "6.1.192", "6.12.117+deb13-cloud-amd64", "7.0-rc3".
func Parse(s string) (Version, error) {
	var n [3]int
	rest := s
	for i := range n {
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		v, err := strconv.Atoi(rest[:end])
		if err != nil {
			return Version{}, fmt.Errorf("kernel version %q: want MAJOR.MINOR[.PATCH]", s)
		}
		n[i], rest = v, rest[end:]
		if i == len(n)-1 || !strings.HasPrefix(rest, ".") {
			if i == 0 {
				return Version{}, fmt.Errorf("kernel version %q: want MAJOR.MINOR[.PATCH]", s)
			}
			break
		}
		// "6.1.y" has no patch number.
		if rest = rest[1:]; i == 1 && (rest == "" || rest[0] < '0' || rest[0] > '9') {
			break
		}
	}
	return Version{n[0], n[1], n[2]}, nil
}

// MustParse is Parse for versions written in the source; it panics on a bad one.
func MustParse(s string) Version {
	v, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return v
}

// IsZero reports whether v is the zero value, which is not a version.
func (v Version) IsZero() bool { return v == Version{} }

// Compare returns a negative number if v is older than w, a positive one if it is
// newer, else 0.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// Less reports whether v is older than w.
func (v Version) Less(w Version) bool { return v.Compare(w) < 0 }

// String returns the version without a patch number of 0.
func (v Version) String() string {
	if v.Patch == 0 {
		return fmt.Sprintf("%d.%d", v.Major, v.Minor)
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}
