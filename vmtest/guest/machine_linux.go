// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

// SetUpMachine mounts what a bare machine lacks, for a program other than the
// guest that is init; it returns what did not work. PowerOff ends the machine
// and does not return.
func SetUpMachine() (warnings []string) { return setUpMachine() }

// PowerOff ends the machine.
func PowerOff() { powerOff() }
