// SPDX-License-Identifier: Apache-2.0

package env

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// What a disk answers when this machine is to be mended first, and what would help.
// No other package, archive or try has a better answer.
var diskErrors = []struct {
	errno syscall.Errno
	fix   string
}{
	{syscall.ENOSPC, "make room on the disk; XDG_CACHE_HOME moves the cache to another"},
	{syscall.EDQUOT, "make room in the quota; XDG_CACHE_HOME moves the cache to another disk"},
	{syscall.EROFS, "XDG_CACHE_HOME moves the cache to a disk that can be written"},
	{syscall.EACCES, "XDG_CACHE_HOME moves the cache to a directory that this user can write"},
}

// Disk returns err as an [Error] when the disk of this machine is full or may not be
// written, any other err as it is.
func Disk(err error) error {
	for _, d := range diskErrors {
		if errors.Is(err, d.errno) {
			return diskError(err, d.errno, d.fix)
		}
	}
	return err
}

// DiskSaid is [Disk] for err of another program, which said why in English.
func DiskSaid(err error, said string) error {
	said = strings.ToLower(said)
	for _, d := range diskErrors {
		if strings.Contains(said, d.errno.Error()) {
			return diskError(err, d.errno, d.fix)
		}
	}
	return err
}

func diskError(err error, errno syscall.Errno, fix string) error {
	if IsDisk(err) {
		return err
	}
	what := err.Error()
	if !strings.Contains(strings.ToLower(what), errno.Error()) {
		what = fmt.Sprintf("%s: %v", what, errno)
	}
	return &Error{What: what, Fix: fix, Err: errno}
}

// IsDisk reports whether err is of [Disk] or [DiskSaid].
func IsDisk(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, d := range diskErrors {
		if e.Err == d.errno {
			return true
		}
	}
	return false
}
