// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the compiled eBPF programs and their C source: for each
// architecture an object with the dispatchers and all maps (core), and one for
// each class of syscalls. `make bpf` compiles them.
package bpf

//go:generate go run ../../internal/cmd/bpfobjects
