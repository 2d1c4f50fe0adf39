// SPDX-License-Identifier: Apache-2.0

package cache

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/scaplab/scaplab/internal/files"
)

// usersDir has a file for each command that uses the cache. The command holds the file's lock as long as it runs, and the file's
// time is that of its start.
const usersDir = "users"

// InUse protects what this process uses of a cache from now on, until it ends.
func InUse(dir string) error {
	users := filepath.Join(dir, usersDir)
	if err := os.MkdirAll(users, 0o755); err != nil {
		return err
	}
	for {
		name := filepath.Join(users, strconv.Itoa(os.Getpid())+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))
		unlock, free, err := files.TryLock(name)
		if err != nil {
			return err
		}
		if free {
			if _, err := os.Stat(name); err == nil {
				return nil // the lock is given up when the process ends
			}
			unlock()
		}
		// Another process took the file for that of a command that has ended, before it was locked.
	}
}

// oldest returns the start of the oldest command that uses the cache, or the zero time. It removes the files of commands that
// have ended. With exceptOwn it does not look at this process.
func oldest(dir string, exceptOwn bool) (start time.Time, err error) {
	users := filepath.Join(dir, usersDir)
	entries, err := os.ReadDir(users)
	if os.IsNotExist(err) {
		return start, nil
	}
	if err != nil {
		return start, err
	}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil { // it has just been removed
			continue
		}
		if exceptOwn && strings.HasPrefix(e.Name(), strconv.Itoa(os.Getpid())+"-") {
			continue
		}
		name := filepath.Join(users, e.Name())
		unlock, free, err := files.TryLock(name)
		if err != nil {
			return start, err
		}
		if free {
			_ = os.Remove(name)
			unlock()
			continue
		}
		if start.IsZero() || st.ModTime().Before(start) {
			start = st.ModTime()
		}
	}
	return start, nil
}
