// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/scaplab/scaplab/internal/env"
	"github.com/scaplab/scaplab/internal/files"
	"github.com/scaplab/scaplab/internal/kernels/internal/rpm"
)

// Unpack unpacks the files of a package, a .deb or an .rpm, into dir, over those of other packages.
func Unpack(ctx context.Context, file, dir string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var magic [8]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return fmt.Errorf("%s: %w (want a .deb or .rpm package)", file, err)
	}
	switch {
	case string(magic[:]) == "!<arch>\n":
		return unpackDeb(ctx, file, dir)
	case rpm.Is(magic[:]):
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if err := rpm.Unpack(f, dir); err != nil {
			return env.Disk(fmt.Errorf("%s: %w", file, err))
		}
		return nil
	}
	return fmt.Errorf("%s is no package (want a .deb or .rpm)", file)
}

func unpackDeb(ctx context.Context, deb, dir string) error {
	var said bytes.Buffer
	read := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	read.Env = append(os.Environ(), "LC_ALL=C")
	read.Stderr = &said
	out, err := read.StdoutPipe()
	if err != nil {
		return err
	}
	if err := read.Start(); err != nil {
		return err
	}
	err = files.Untar(out, dir)
	if err == nil {
		_, err = io.Copy(io.Discard, out) // padding
	}
	out.Close()
	ended := read.Wait()
	text := strings.TrimSpace(said.String())
	switch {
	case env.IsDisk(env.Disk(err)): // dpkg-deb then complains that its reader is gone
		return env.Disk(err)
	case ended != nil && text != "": // an archive that ends too early has its cause here
		return fmt.Errorf("%w: %s", ended, text)
	case err == nil:
		return ended
	}
	return err
}
