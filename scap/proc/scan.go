// SPDX-License-Identifier: Apache-2.0

package proc

// Options of [Scan]. The zero value scans everything on this machine.
type Options struct {
	// Root is the directory with proc, etc and sys: another machine's tree, or
	// the host's root as mounted in a container. "": /.
	Root string
	// NoFDs leaves out open files, which take most of the time of a scan.
	NoFDs bool
	// Workers is the number of processes read at the same time; 0: one per CPU.
	Workers int
}
