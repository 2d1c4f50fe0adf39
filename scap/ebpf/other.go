// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package ebpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// Source is a running capture; there is none on this system.
type Source struct{}

var _ scap.Source = (*Source)(nil)

// Open fails: there is no Linux kernel to capture from.
func Open(opts Options) (*Source, error) {
	if _, err := opts.complete(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("live capture on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (*Source) Next() (*event.Event, error)          { return nil, os.ErrClosed }
func (*Source) NextInto(*event.Event) error          { return os.ErrClosed }
func (*Source) ReadBatch([]event.Event) (int, error) { return 0, os.ErrClosed }
func (*Source) Select(Selection) error               { return os.ErrClosed }
func (*Source) SetSnaplen(int) error                 { return os.ErrClosed }
func (*Source) Refused() []*Refusal                  { return nil }
func (*Source) Rings() int                           { return 0 }
func (*Source) Stats() (scap.Stats, error)           { return scap.Stats{}, nil }
func (*Source) Close() error                         { return os.ErrClosed }
