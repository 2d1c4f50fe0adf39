// SPDX-License-Identifier: Apache-2.0

//go:build !(386 || amd64 || arm64)

package bpf

import "embed"

const haveObjects = false

var objects embed.FS
