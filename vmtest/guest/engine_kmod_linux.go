// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/kmod"
	"github.com/scaplab/scaplab/vmtest/subject"
)

func init() { engines[Kmod] = openKmod }

type kmodEngine struct {
	*kmod.Source
	snaplen int
}

// openKmod opens the kernel module. If it has the module's file, it loads it first.
func openKmod() (engine, error) {
	name, err := loadModule()
	if err != nil {
		return nil, err
	}
	src, err := kmod.Open(scap.Selection{Syscalls: []string{"close"}, Enter: true}, kmod.Options{Name: name, Settings: scap.Settings{Snaplen: defaultSnaplen, Timeout: readTimeout}})
	if err != nil {
		return nil, err
	}
	return &kmodEngine{src, defaultSnaplen}, nil
}

// loadModule loads the module built for this kernel, and returns its name, which its devices
// have, too. Without a file, the module must already be loaded.
func loadModule() (name string, err error) {
	f, err := os.Open(ModuleFile)
	if os.Getpid() != 1 || errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/sys/module/" + kmod.DefaultName); err == nil {
			return kmod.DefaultName, nil
		}
		return "", errors.New("no module for this kernel")
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := subject.Modinfo(f)
	if err != nil {
		return "", fmt.Errorf("%s: %w", ModuleFile, err)
	}
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return "", fmt.Errorf("load %s: %w", ModuleFile, err)
	}
	return info["name"], nil
}

func (e *kmodEngine) selectCalls(names []string, snaplen int) error {
	if snaplen != e.snaplen {
		if err := e.SetSnaplen(snaplen); err != nil {
			return err
		}
		e.snaplen = snaplen
	}
	return e.Select(scap.Selection{Syscalls: names, Enter: true})
}

func (e *kmodEngine) pause() error { return e.Select(scap.Selection{}) }

func (e *kmodEngine) retime() error { return e.SetSnaplen(e.snaplen) }

func (e *kmodEngine) rings() int { return e.Rings() }

func (e *kmodEngine) state() DriverState {
	return DriverState{
		Name: Kmod, Object: e.Module(),
		Detail: fmt.Sprintf("API %v, schema %v", e.API(), e.Schema()),
	}
}
