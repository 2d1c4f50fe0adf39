// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/clock"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/internal/live"
)

// engine is the driver and its rings.
type engine struct {
	driver *driver.Driver
	rings  []*ring
	polls  []unix.PollFd
	clock  *clock.Watch
	// unpolled: the last poll reported data, and no record was complete.
	unpolled bool
}

func open(sel scap.Selection, opts *Options) (*Source, error) {
	d, err := driver.Load(driver.Options{
		Select:         driver.Selection(sel),
		Settings:       opts.settings(),
		RingSize:       opts.RingSize,
		CPUsPerRing:    opts.CPUsPerRing,
		RawTracepoints: opts.RawTracepoints,
	})
	if err != nil {
		return nil, fmt.Errorf("load eBPF driver: %w", err)
	}
	e := &engine{driver: d}
	if err := e.start(); err != nil {
		_, cerr := e.Close()
		return nil, errors.Join(err, cerr)
	}
	rings := make([]live.Ring, len(e.rings))
	for i, r := range e.rings {
		rings[i] = r
	}
	return &Source{live.New(e, rings, opts.Timeout, nil), d}, nil
}

func (e *engine) start() error {
	for i, r := range e.driver.Rings() {
		mapped, err := mapRing(r.Map.FD(), r.Size, i)
		if err != nil {
			return err
		}
		e.rings = append(e.rings, mapped)
		e.polls = append(e.polls, unix.PollFd{Fd: int32(r.Map.FD()), Events: unix.POLLIN})
	}
	// Events have the boot clock's time and where that stands on the wall clock.
	watch, err := clock.NewWatch(func(offset uint64, _ time.Duration) { _ = e.driver.SetBootOffset(offset) }) // fails after Close only
	if err != nil {
		return err
	}
	e.clock = watch
	if err := e.driver.Attach(); err != nil {
		return fmt.Errorf("start eBPF driver: %w", err)
	}
	return nil
}

// Wait waits, at most d, for a producer to wake the reader.
func (e *engine) Wait(d time.Duration) error {
	ts := unix.NsecToTimespec(int64(d))
	if e.unpolled || len(e.polls) == 0 {
		// A poll would return at once, because of the same busy record.
		e.unpolled = false
		return ignoreSignal(unix.Nanosleep(&ts, nil))
	}
	n, err := unix.Ppoll(e.polls, &ts, nil)
	e.unpolled = n > 0
	return ignoreSignal(err)
}

func ignoreSignal(err error) error {
	if err == unix.EINTR {
		return nil
	}
	return err
}

func (e *engine) Stats() scap.Stats {
	c := e.driver.Counters()
	return scap.Stats{
		Seen: c.Seen,
		Drops: scap.Drops{
			BufferFull: c.DropBuffer,
			TooLarge:   c.DropTooLarge,
			Scratch:    c.DropScratch,
			TailCall:   c.DropNoProgram,
			Other:      c.Missed,
			NoRing:     c.DropNoRing,
		},
	}
}

func (e *engine) Select(sel scap.Selection) error { return e.driver.Select(driver.Selection(sel)) }

func (e *engine) SetSnaplen(n int) error {
	settings := e.driver.Settings()
	settings.Snaplen = n
	return e.driver.Set(settings)
}

func (e *engine) Close() (scap.Stats, error) {
	errs := []error{e.driver.Detach()}
	stats := e.Stats()
	if e.clock != nil {
		errs = append(errs, e.clock.Close())
	}
	for _, r := range e.rings {
		errs = append(errs, r.close())
	}
	return stats, errors.Join(append(errs, e.driver.Close())...)
}

func (o *Options) settings() driver.Settings {
	return driver.Settings{
		Snaplen:        o.Snaplen,
		SamplingRatio:  o.SamplingRatio,
		Dropping:       o.SamplingRatio > 1,
		DropFailed:     o.DropFailed,
		DynamicSnaplen: o.DynamicSnaplen,
		FullPorts:      o.FullPorts,
		StatsdPort:     o.StatsdPort,
		WakeBytes:      o.wakeBytes(),
	}
}

// wakeBytes returns how many bytes a CPU writes before it wakes the reader: an
// eighth of the CPU's share of the ring.
func (o *Options) wakeBytes() uint32 {
	cpus := o.CPUsPerRing
	if cpus == 0 {
		cpus = runtime.NumCPU()
	}
	return uint32(max(o.RingSize/8/cpus, 1))
}
