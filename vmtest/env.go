// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"fmt"
	"os"
	"path/filepath"
)

// EnvError says that the machine lacks something and how to get it.
type EnvError struct {
	What string // what is missing
	Fix  string // what would help
}

func (e *EnvError) Error() string {
	if e.Fix == "" {
		return e.What
	}
	return fmt.Sprintf("%s (%s)", e.What, e.Fix)
}

// CacheDir is where kernels, packages and snapshots are kept between runs.
func CacheDir() (string, error) {
	d, err := os.UserCacheDir()
	if err != nil {
		return "", &EnvError{fmt.Sprintf("no place for the cache: %v", err), "set XDG_CACHE_HOME or HOME"}
	}
	d = filepath.Join(d, "scaplab")
	if err := os.MkdirAll(d, 0o755); err != nil {
		return "", &EnvError{fmt.Sprintf("make cache: %v", err), "set XDG_CACHE_HOME to a directory that can be written"}
	}
	return d, nil
}
