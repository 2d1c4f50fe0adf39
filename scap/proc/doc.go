// SPDX-License-Identifier: Apache-2.0

// Package proc is the state of an operating system at one moment: threads with
// what they have open, users, groups, network interfaces, the machine.
//
// [Scan] takes it from /proc, of this machine or below another root. Package
// savefile keeps it at the head of a capture and gives it back as it was, on
// any machine; package sinsp starts from it.
//
//	state, err := proc.Scan(proc.Options{})
//	for i := range state.Threads {
//		t := &state.Threads[i]
//		fmt.Println(t.TID, t.Comm, len(t.FDs))
//	}
package proc
