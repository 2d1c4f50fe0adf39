// SPDX-License-Identifier: Apache-2.0

package files

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Untar unpacks an archive into dir, over what is there, as package managers do: a directory of the archive that is a link to a
// directory in dir stays one. No link leads out of dir, whoever has made it: the link itself is fine, as it may be meant for
// another root, but a file behind it is an error. Owners and set-user-ID bits are not kept, devices are left out.
func Untar(r io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = untarOne(root, t, h)
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
}

// inside is the name in an archive as a path below its root.
func inside(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

func untarOne(root *os.Root, r io.Reader, h *tar.Header) error {
	name := inside(h.Name)
	if name == "" {
		return nil
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(h.Mode).Perm()
	if h.Typeflag == tar.TypeDir {
		if st, err := root.Stat(name); err == nil && st.IsDir() {
			return nil
		}
		if err := root.Mkdir(name, mode|0o700); err != nil { // files follow
			return err
		}
		return root.Chmod(name, mode|0o700)
	}
	if st, err := root.Lstat(name); err == nil && !st.IsDir() {
		if err := root.Remove(name); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode|0o200)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		if err := errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
			return err
		}
		return root.Chtimes(name, h.ModTime, h.ModTime) // make compares them
	case tar.TypeSymlink:
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return root.Link(inside(h.Linkname), name)
	}
	return nil
}
