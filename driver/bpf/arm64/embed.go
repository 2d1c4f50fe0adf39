// SPDX-License-Identifier: Apache-2.0

// Package arm64 has the compiled eBPF objects for arm64, NAME.o.
package arm64

import "embed"

//go:embed *.o
var Objects embed.FS
