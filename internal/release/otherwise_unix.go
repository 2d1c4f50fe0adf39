// SPDX-License-Identifier: Apache-2.0

//go:build unix

package release

import (
	"errors"
	"os"
	"syscall"
)

// otherwise calls f in other surroundings than this process has: another umask, locale and time zone. The compiler sees its
// own host and user names, and its own paths, in any case. Nothing else runs meanwhile that would notice.
func otherwise(f func() error) (err error) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for name, value := range map[string]string{"LC_ALL": "C.UTF-8", "TZ": "Pacific/Chatham", "LANGUAGE": "de"} {
		before, was := os.LookupEnv(name)
		if err := os.Setenv(name, value); err != nil {
			return err
		}
		defer func() {
			if was {
				err = errors.Join(err, os.Setenv(name, before))
			} else {
				err = errors.Join(err, os.Unsetenv(name))
			}
		}()
	}
	return f()
}
