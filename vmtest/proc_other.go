// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package vmtest

import (
	"errors"
	"os"
	"os/exec"
)

var errNotLinux = errors.New("running guests needs Linux")

type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

func startProcess(*exec.Cmd) (*process, error) { return nil, errNotLinux }

func (p *process) kill() {}

func socketPair(string) (ours, theirs *os.File, err error) { return nil, nil, errNotLinux }

func sendWithFile(*os.File, []byte, *os.File) error { return errNotLinux }

func mayLoadPrograms() error { return errNotLinux }
