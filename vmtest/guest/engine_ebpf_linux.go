// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"strings"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
)

func init() { engines[EBPF] = openEBPF }

type ebpfEngine struct {
	*ebpf.Source
	snaplen int
}

// openEBPF loads every program once, to find out which ones the kernel refuses.
func openEBPF() (engine, error) {
	src, err := ebpf.Open(scap.Selection{All: true, Enter: true, Tracepoints: ebpf.Tracepoints()}, ebpf.Options{
		Settings: scap.Settings{Timeout: readTimeout},
	})
	if err != nil {
		return nil, err
	}
	e := &ebpfEngine{Source: src}
	if err := e.selectCalls([]string{"close"}, defaultSnaplen); err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return e, nil
}

func (e *ebpfEngine) selectCalls(names []string, snaplen int) error {
	if snaplen != e.snaplen {
		if err := e.SetSnaplen(snaplen); err != nil {
			return err
		}
		e.snaplen = snaplen
	}
	return e.Select(scap.Selection{Syscalls: names, Enter: true})
}

func (e *ebpfEngine) pause() error {
	e.snaplen = 0 // so that the next settings are written even if they are the same, with the current clock
	return e.Select(scap.Selection{})
}

// retime makes the driver read the clocks again, which it does with every change of settings.
func (e *ebpfEngine) retime() error { return e.SetSnaplen(e.snaplen) }

func (e *ebpfEngine) rings() int { return e.Rings() }

func (e *ebpfEngine) state() DriverState {
	s := DriverState{Name: EBPF}
	for _, r := range e.Refused() {
		s.Refused = append(s.Refused, Refusal{
			Program: r.Program, Reason: strings.TrimPrefix(r.Error(), "program "+r.Program+": "),
		})
	}
	return s
}
