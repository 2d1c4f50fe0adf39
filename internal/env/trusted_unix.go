// SPDX-License-Identifier: Apache-2.0

//go:build unix

package env

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// trusted returns an error if users other than this one and root can change what is in
// dir, a path without symbolic links. This user must own dir, and no directory above it
// may let others replace it.
func trusted(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		st, err := os.Lstat(at)
		if err != nil {
			return err
		}
		owner := int(st.Sys().(*syscall.Stat_t).Uid)
		own := owner == os.Geteuid()
		sticky := st.Mode()&fs.ModeSticky != 0 && at != dir // others can rename only what they own
		switch {
		case !own && (owner != 0 || at == dir):
			return fmt.Errorf("%s belongs to user %d, not to %d", at, owner, os.Geteuid())
		case st.Mode().Perm()&0o022 != 0 && !sticky:
			return fmt.Errorf("others can write to %s (mode %04o)", at, st.Mode().Perm())
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
