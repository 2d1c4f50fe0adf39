// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package cli

import "io"

// Size returns the number of columns and rows of the terminal w, 80 and 24 if they are not known.
func Size(io.Writer) (columns, rows int) { return defaultColumns, defaultRows }

// Resized calls f whenever the terminal of the process may have changed its size, until stop is called.
func Resized(func()) (stop func()) { return func() {} }
