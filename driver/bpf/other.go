// SPDX-License-Identifier: Apache-2.0

//go:build !(386 || amd64 || arm64)

package bpf

import (
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
)

// LoadProbe reports that there is no object for this architecture.
func LoadProbe() (*ebpf.CollectionSpec, error) {
	return nil, fmt.Errorf("no eBPF programs for %s: %w", runtime.GOARCH, ebpf.ErrNotSupported)
}

// Object is nil: there is none for this architecture.
func Object() []byte { return nil }
