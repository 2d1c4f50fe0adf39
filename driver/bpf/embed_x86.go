// SPDX-License-Identifier: Apache-2.0

//go:build 386 || amd64

package bpf

import "embed"

const dir = "amd64"

//go:embed amd64/*.o
var objects embed.FS
