// SPDX-License-Identifier: Apache-2.0

//go:build 386 || amd64 || arm64

package bpf

// Object is the compiled object for this architecture, which must not be changed.
func Object() []byte { return _ProbeBytes }
