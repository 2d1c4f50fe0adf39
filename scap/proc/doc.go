// SPDX-License-Identifier: Apache-2.0

// Package proc has the state of an operating system at one moment: threads with
// their open files, users, groups, network interfaces, the machine.
//
// [Scan] reads it from /proc, of this machine or below another root. Package savefile
// writes it at the head of a capture and reads it back unchanged on any machine.
// Package sinsp starts from it.
//
//	state, err := proc.Scan(proc.Options{})
//	for i := range state.Threads {
//		t := &state.Threads[i]
//		fmt.Println(t.TID, t.Comm, len(t.FDs))
//	}
package proc
