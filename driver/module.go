// SPDX-License-Identifier: Apache-2.0

package driver

import "embed"

// ModuleSource is the source of the kernel module: kmod and the files it includes.
//
//go:embed abi/*.h fillers/*.h kmod/*.c kmod/*.h kmod/Kbuild kmod/probe/*.c
var ModuleSource embed.FS
