// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// These tell a process which part of a guest it is.
const (
	envMode     = "SCAPLAB_GUEST"
	envWarnings = "SCAPLAB_GUEST_WARNINGS"
	envPort     = "scaplab_port" // parameter of the kernel's command line: scaplab_port=/dev/ttyS1

	modeInit = "init"
	modePipe = "pipe" // serves on standard input and output
	modeBare = "bare" // the same without drivers
	modeFork = "fork" // forks a child for each case

	defaultPort = "/dev/ttyS1"
)

// Hook makes the process a guest, and does not return, if it was started as
// one: as /init with pid 1, by another guest, or with [Environ].
func Hook() {
	switch {
	case os.Getpid() == 1 && os.Args[0] == "/init":
		runInit()
	case os.Getenv(envMode) == modePipe:
		os.Exit(servePipe())
	case os.Getenv(envMode) == modeBare:
		clear(engines)
		os.Exit(servePipe())
	case os.Getenv(envMode) == modeFork:
		os.Exit(forkMain(caseMain))
	}
}

// Environ is the environment in which this program, executed again, serves
// requests on its standard input and output.
func Environ() []string { return append(os.Environ(), envMode+"="+modePipe) }

// BareEnviron is Environ for a guest that has no drivers: it only makes calls.
func BareEnviron() []string { return append(os.Environ(), envMode+"="+modeBare) }

// pipe joins standard input and output to one stream.
type pipe struct{}

func (pipe) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (pipe) Write(b []byte) (int, error) { return os.Stdout.Write(b) }

func servePipe() int {
	ignoreSignals()
	// Children of a case's children become children of this process when their parent ends.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintf(os.Stderr, "guest: become reaper: %v\n", err)
		return 3
	}
	if err := serve(pipe{}, false, nil); err != nil {
		fmt.Fprintf(os.Stderr, "guest: %v\n", err)
		return 3
	}
	return 0
}
