// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package cli

import "io"

// Width is the number of columns of the terminal w, 80 when it cannot be told.
func Width(io.Writer) int { return defaultWidth }
