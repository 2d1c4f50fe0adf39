// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the compiled eBPF programs, one object per architecture,
// with the C they are made of. `make bpf` compiles them again.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -go-package bpf -output-stem probe -cflags "-O2 -g -mcpu=v3 -Wall -Werror -fdebug-prefix-map=.=." -no-global-types -type config -type cpu -type counters -type event_header Probe probe.bpf.c
