// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package env

// trusted accepts every directory: modules are built and loaded on Linux only.
func trusted(string) error { return nil }
