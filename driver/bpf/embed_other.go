// SPDX-License-Identifier: Apache-2.0

//go:build !(386 || amd64 || arm64)

package bpf

import "embed"

const dir = ""

var objects embed.FS
