// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

// SetUpMachine mounts the file systems of a bare machine, for an init other than the
// guest. It returns warnings about what failed.
func SetUpMachine() (warnings []string) { return setUpMachine() }

// PowerOff ends the machine and does not return.
func PowerOff() { powerOff() }
