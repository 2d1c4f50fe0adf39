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
	rings  []closer
	polls  []unix.PollFd
	clock  *clock.Watch
	waker  *ring // of rings of our own
	// unpolled: the last poll reported data, and no record was complete.
	unpolled bool
}

// closer is a mapped ring.
type closer interface {
	live.Ring
	close() error
}

func open(sel scap.Selection, opts *Options) (*Source, error) {
	perRing := opts.CPUsPerRing
	if perRing == 0 {
		perRing = DefaultCPUsPerRing
	}
	d, err := driver.Load(driver.Options{
		Select:         driver.Selection(sel),
		Settings:       opts.settings(),
		RingSize:       opts.RingSize,
		CPUsPerRing:    max(perRing, 0), // 0: all
		InPlace:        opts.CPUsPerRing == 0,
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
	return &Source{live.New(e, rings, opts.Timeout, e.now()), d}, nil
}

func (e *engine) start() error {
	if err := e.mapNew(); err != nil {
		return err
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

// mapNew maps the driver's rings that are not mapped yet.
func (e *engine) mapNew() error {
	if e.driver.InPlace() {
		return e.mapOwnRings()
	}
	return e.mapRings()
}

// Grow returns rings for CPUs that came after the start.
func (e *engine) Grow() ([]live.Ring, error) {
	grown, err := e.driver.Grow()
	if !grown {
		return nil, err
	}
	known := len(e.rings)
	err = errors.Join(err, e.mapNew())
	var rings []live.Ring
	for _, r := range e.rings[known:] {
		rings = append(rings, r)
	}
	return rings, err
}

func (e *engine) mapRings() error {
	for _, r := range e.driver.Rings()[len(e.rings):] {
		mapped, err := mapRing(r.Map.FD(), r.Size, len(e.rings))
		if err != nil {
			return err
		}
		e.rings = append(e.rings, mapped)
		e.polls = append(e.polls, unix.PollFd{Fd: int32(r.Map.FD()), Events: unix.POLLIN})
	}
	return nil
}

func (e *engine) mapOwnRings() error {
	for _, r := range e.driver.Rings()[len(e.rings):] {
		mapped, err := mapOwnRing(r, e.driver.Positions(r.CPUs[0]))
		if err != nil {
			return err
		}
		e.rings = append(e.rings, mapped)
	}
	if e.waker != nil {
		return nil
	}
	waker := e.driver.Waker()
	var err error
	e.waker, err = mapRing(waker.FD(), int(waker.MaxEntries()), 0)
	e.polls = []unix.PollFd{{Fd: int32(waker.FD()), Events: unix.POLLIN}}
	return err
}

// now returns the clock of the events' timestamps, which rings of our own need: they do not show incomplete events.
// Asking for the time makes no system call, which might be an event.
func (e *engine) now() func() uint64 {
	if !e.driver.InPlace() {
		return nil
	}
	start, boot := time.Now(), clock.SinceBoot()
	return func() uint64 {
		now := time.Now()
		// The runtime's clock stands still while the machine is suspended; the wall clock does not.
		if moved := now.Round(0).Sub(start.Round(0)) - now.Sub(start); moved < -time.Second || moved > time.Second {
			start, boot = now, clock.SinceBoot()
		}
		return e.driver.BootOffset() + boot + uint64(now.Sub(start))
	}
}

// Wait waits, at most d, for a producer to wake the reader.
func (e *engine) Wait(d time.Duration) error {
	if e.waker != nil {
		return e.waitForWaker(d)
	}
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

// waitForWaker returns at once if a program has woken the reader since it last waited.
func (e *engine) waitForWaker(d time.Duration) error {
	ts := unix.NsecToTimespec(int64(d))
	_, err := unix.Ppoll(e.polls, &ts, nil)
	e.waker.Look()
	e.waker.pos = e.waker.end
	e.waker.Publish()
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
			Messages:   c.DropMessages,
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
	if e.waker != nil {
		errs = append(errs, e.waker.close())
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
	size, cpus := o.RingSize, o.CPUsPerRing
	switch {
	case size == 0:
		size, cpus = DefaultRingSize, DefaultCPUsPerRing
	case cpus < 0:
		cpus = runtime.NumCPU()
	}
	return uint32(max(size/8/max(cpus, 1), 1))
}
