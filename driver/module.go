// SPDX-License-Identifier: Apache-2.0

package driver

import "embed"

// ModuleSource is the source of the kernel module: kmod and the files it includes.
//
//go:embed abi/*.h fillers/*.h kmod/*.c kmod/*.h kmod/Kbuild kmod/probe/*.c
var ModuleSource embed.FS

// ObjectSource is the source of the eBPF objects besides the files that the module includes as well (abi and fillers).
//
//go:embed bpf/*.c bpf/*.h
var ObjectSource embed.FS
