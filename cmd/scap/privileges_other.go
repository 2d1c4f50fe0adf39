// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

// dropPrivileges does nothing: only Linux has live captures.
func dropPrivileges(need) error { return nil }
