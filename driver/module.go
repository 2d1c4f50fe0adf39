// SPDX-License-Identifier: Apache-2.0

package driver

import "embed"

// ModuleSource is the C text of the kernel module: kmod and what it includes.
//
//go:embed abi/*.h fillers/*.h kmod/*.c kmod/*.h kmod/Kbuild kmod/probe/*.c
var ModuleSource embed.FS
