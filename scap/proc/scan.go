// SPDX-License-Identifier: Apache-2.0

package proc

// Options of [Scan]. The zero value takes everything there is on this machine.
type Options struct {
	// Root is the directory that has proc, etc and sys: another machine's tree,
	// or where a container sees the host's. "": /.
	Root string
	// NoFDs leaves out what processes have open, most of the time of a scan.
	NoFDs bool
	// Workers read processes at the same time; 0: one per CPU.
	Workers int
}
