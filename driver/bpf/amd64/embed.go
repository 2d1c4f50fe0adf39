// SPDX-License-Identifier: Apache-2.0

// Package amd64 has the compiled eBPF objects for amd64, NAME.o.
package amd64

import "embed"

//go:embed *.o
var Objects embed.FS
