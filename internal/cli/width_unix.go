// SPDX-License-Identifier: Apache-2.0

//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Width returns the number of columns of the terminal w, 80 if the width is not known.
func Width(w io.Writer) int {
	if o, ok := w.(*output); ok {
		w = o.w
	}
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return defaultWidth
}
