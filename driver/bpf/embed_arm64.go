// SPDX-License-Identifier: Apache-2.0

package bpf

import "embed"

const dir = "arm64"

//go:embed arm64/*.o
var objects embed.FS
