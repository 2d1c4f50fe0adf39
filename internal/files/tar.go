// SPDX-License-Identifier: Apache-2.0

package files

import (
	"archive/tar"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// TarWriter makes an archive that [Untar] unpacks.
type TarWriter struct {
	*tar.Writer

	// Skip says which directories, by their names, are left out of trees. It may be nil.
	Skip func(name string) bool
}

// NewTarWriter returns a writer to w. Close completes the archive.
func NewTarWriter(w io.Writer) *TarWriter { return &TarWriter{Writer: tar.NewWriter(w)} }

// Add adds a file, or a directory with all that is in it, under a name in the archive, "" for its root. A link that file is
// itself is followed; links in a directory stay links. What is neither a file, a directory nor a link is left out.
func (t *TarWriter) Add(file, name string) error {
	if _, err := os.Stat(file); err != nil { // which names the file, as the next step does not
		return err
	}
	file, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	return filepath.WalkDir(file, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(file, p)
		if err != nil {
			return err
		}
		if e.IsDir() && p != file && t.Skip != nil && t.Skip(e.Name()) {
			return fs.SkipDir
		}
		return t.one(p, path.Join(name, filepath.ToSlash(rel)), e)
	})
}

func (t *TarWriter) one(file, name string, e fs.DirEntry) error {
	st, err := e.Info()
	if err != nil {
		return err
	}
	target := ""
	switch {
	case st.Mode().Type() == fs.ModeSymlink:
		if target, err = os.Readlink(file); err != nil {
			return err
		}
	case !st.IsDir() && !st.Mode().IsRegular():
		return nil
	}
	h, err := tar.FileInfoHeader(st, target)
	if err != nil {
		return err
	}
	h.Name = name
	if !st.Mode().IsRegular() {
		return t.WriteHeader(h)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	// A file that grows meanwhile is cut: its size is in the archive before its content.
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(t, io.LimitReader(f, h.Size))
	return err
}

// chunkSize is the size of all chunks but the last.
const chunkSize = 256 << 10

// Chunks returns a writer that gives each call of send some 256 KiB: the rest when it is closed.
func Chunks(send func(chunk []byte) error) io.WriteCloser {
	return &chunks{send: send, buf: make([]byte, 0, chunkSize)}
}

type chunks struct {
	send func([]byte) error
	buf  []byte
}

func (c *chunks) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		k := min(len(p), cap(c.buf)-len(c.buf))
		c.buf = append(c.buf, p[:k]...)
		p, n = p[k:], n+k
		if len(c.buf) == cap(c.buf) {
			if err := c.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (c *chunks) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	err := c.send(c.buf)
	c.buf = c.buf[:0]
	return err
}

func (c *chunks) Close() error { return c.flush() }
