// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package cli

import "io"

// Width returns the number of columns of the terminal w, 80 if the width is not known.
func Width(io.Writer) int { return defaultWidth }
