// SPDX-License-Identifier: Apache-2.0

package proc

import "github.com/scaplab/scaplab/scap/event"

// Options of [Scan]. The zero value scans everything on this machine.
type Options struct {
	// Root is the directory with proc, etc and sys: another machine's tree, or
	// the host's root as mounted in a container. "": /.
	Root string
	// NoFDs leaves out open files, which take most of the time of a scan.
	NoFDs bool
	// Self is the pid of this process as events have it (scap.Live.Self): if proc has
	// another for it, it shows another pid namespace, and Scan leaves out its processes;
	// 0: not known.
	Self event.PID
	// Workers is the number of processes read at the same time; 0: one per CPU.
	Workers int

	// Limits, above what real machines have. A scan that reaches one returns what it has.
	MaxFDs    int   // open files of a process; 0: 65536
	MaxAllFDs int   // open files of all processes; 0: 1,000,000
	MaxBytes  int64 // memory of the state, about; 0: 1 GiB
}
