// SPDX-License-Identifier: Apache-2.0

// Package env says what this machine lacks, and where things are kept on it.
package env

import (
	"fmt"
	"os"
	"path/filepath"
)

// Error says that the machine lacks something and how to get it.
type Error struct {
	What string // what is missing
	Fix  string // what would help
	Err  error  // what the system said, or nil
}

func (e *Error) Error() string {
	if e.Fix == "" {
		return e.What
	}
	return fmt.Sprintf("%s (%s)", e.What, e.Fix)
}

func (e *Error) Unwrap() error { return e.Err }

// Lacks says that the machine lacks what, and that fix would help; fix may be "".
func Lacks(what, fix string) error { return &Error{What: what, Fix: fix} }

// CacheDir is where kernels, packages and snapshots are kept between runs. Modules are
// built with its contents, kernels of it are booted, and root loads modules of it. So
// CacheDir refuses a directory that others can change: with sudo, HOME may be that of
// another user.
func CacheDir() (string, error) {
	d, err := os.UserCacheDir()
	if err != nil {
		return "", Lacks(fmt.Sprintf("no place for the cache: %v", err), "set XDG_CACHE_HOME or HOME")
	}
	d = filepath.Join(d, "scaplab")
	if err := os.MkdirAll(d, 0o755); err != nil {
		return "", Lacks(fmt.Sprintf("make cache: %v", err), "set XDG_CACHE_HOME to a directory that can be written")
	}
	if d, err = filepath.EvalSymlinks(d); err == nil {
		err = trusted(d)
	}
	if err != nil {
		return "", Lacks(fmt.Sprintf("the cache cannot be trusted: %v", err), "set XDG_CACHE_HOME to a directory of your own")
	}
	return d, nil
}
