// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package env

// MayLoadPrograms reports that this system has no eBPF programs.
func MayLoadPrograms() error { return Lacks("eBPF programs need Linux", "run it there") }
