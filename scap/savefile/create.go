// SPDX-License-Identifier: Apache-2.0

package savefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var (
	errLink    = errors.New("it is a symbolic link, and captures are not written through one")
	errSpecial = errors.New("it is neither a file, a pipe nor a device")
)

// createFile creates a capture, which only its owner may read: it has the data of all users. The name is often foreseeable and its
// directory open to others, so a file that has the name is replaced by a new one, never written: another may have put it there, or
// a link to a file of root. A pipe or device is opened. A symbolic link is an error, or with replace it is replaced, too.
func createFile(name string, replace bool) (*os.File, error) {
	if ownDescriptor(name) {
		return os.OpenFile(name, os.O_WRONLY, 0)
	}
	st, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case st.Mode()&fs.ModeSymlink != 0 && !replace:
		return nil, &fs.PathError{Op: "create", Path: name, Err: errLink}
	case st.Mode()&(fs.ModeNamedPipe|fs.ModeDevice) != 0:
		return openSpecial(name)
	case !st.Mode().IsRegular() && st.Mode()&fs.ModeSymlink == 0:
		return nil, &fs.PathError{Op: "create", Path: name, Err: errSpecial}
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".scap-*") // exclusive, and for the owner only
	if err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// openSpecial opens a pipe or device write-only: on a pipe, a descriptor that is also open for reading never gets EPIPE.
func openSpecial(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|noFollow, 0)
	if err != nil {
		return nil, err
	}
	// It may be another file than a moment ago.
	if st, err := f.Stat(); err != nil || st.Mode()&(fs.ModeNamedPipe|fs.ModeDevice) == 0 {
		f.Close()
		return nil, &fs.PathError{Op: "create", Path: name, Err: errSpecial}
	}
	return f, nil
}

// ownDescriptor reports whether name is a descriptor of this process, such as the shell's >(...): a link that nobody else controls.
func ownDescriptor(name string) bool {
	dir, file := filepath.Split(name)
	return slices.Contains([]string{"/dev/fd/", "/proc/self/fd/"}, dir) && strings.Trim(file, "0123456789") == "" ||
		slices.Contains([]string{"/dev/stdout", "/dev/stderr"}, name)
}
