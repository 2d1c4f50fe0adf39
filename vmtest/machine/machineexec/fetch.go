// SPDX-License-Identifier: Apache-2.0

package machineexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/vmtest/guest"
)

// fetch copies a file, or the content of a directory, from the machine. A file replaces what is there; in a directory that
// exists it keeps its name.
func (r *runner) fetch(ctx context.Context, c Copy) error {
	if err := r.s.Send(guest.KindFetch, guest.Fetch{Path: c.From}); err != nil {
		return err
	}
	m, err := r.await(ctx, guest.KindFetched)
	if err != nil {
		return err
	}
	var f guest.Fetched
	if err := m.Decode(&f); err != nil {
		return err
	}
	switch {
	case f.Error != "":
		return errors.New(f.Error)
	case f.Missing && c.Optional:
		return nil
	case f.Missing:
		return fmt.Errorf("%s: %w", c.From, fs.ErrNotExist)
	}
	if f.Dir {
		if err := os.MkdirAll(c.To, 0o755); err != nil {
			return err
		}
		return r.unpack(ctx, c.To)
	}
	// What a machine sends is not trusted: the archive may have other names than the one asked for.
	to := c.To
	if st, err := os.Stat(to); err == nil && st.IsDir() {
		to = filepath.Join(to, filepath.Base(c.From))
	}
	dir, err := os.MkdirTemp(filepath.Dir(to), ".scaplab-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := r.unpack(ctx, dir); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, filepath.Base(c.From)), to)
}

// unpack unpacks the archive that the machine sends.
func (r *runner) unpack(ctx context.Context, dir string) error {
	in, out := io.Pipe()
	unpacked := make(chan error, 1)
	go func() {
		err := files.Untar(in, dir)
		in.CloseWithError(err)
		unpacked <- err
	}()
	for {
		m, err := r.await(ctx, guest.KindFiles)
		if err != nil {
			out.CloseWithError(err)
			<-unpacked
			return err
		}
		if len(m.Bytes()) == 0 {
			break
		}
		_, _ = out.Write(m.Bytes()) // an error is that of the unpacking
	}
	out.Close()
	return errors.Join(r.done(ctx), <-unpacked)
}
