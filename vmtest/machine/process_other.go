// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package machine

import (
	"errors"
	"os"
	"os/exec"
)

var errNotLinux = errors.New("running guests needs Linux")

// Process is not available.
type Process struct {
	Done chan struct{}
}

// StartProcess needs Linux.
func StartProcess(*exec.Cmd) (*Process, error) { return nil, errNotLinux }

// State is not called.
func (p *Process) State() *os.ProcessState { return nil }

// Kill is not called.
func (p *Process) Kill() {}

// SocketPair needs Linux.
func SocketPair(string) (ours, theirs *os.File, err error) { return nil, nil, errNotLinux }

func sharedMemory(int) (theirs *os.File, first, second []byte, err error) {
	return nil, nil, nil, errNotLinux
}

func unmap([]byte) {}

func sendWithFile(*os.File, []byte, *os.File) error { return errNotLinux }
