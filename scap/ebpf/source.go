// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// Source is a running capture. Its methods may be called from several
// goroutines, but events are valid for the one that reads them only, until its
// next read: while one is in use no other goroutine may read or close.
type Source struct {
	opts   Options
	driver *driver.Driver

	closing atomic.Bool // set before mu is taken, so that a read that waits ends
	mu      sync.Mutex
	reader  *reader
	ev      event.Event
	handed  uint64     // events handed out
	last    scap.Stats // at Close
	closed  bool
}

var _ scap.Source = (*Source)(nil)

// Open loads the driver's programs for what is selected and starts the
// capture. Programs that the kernel refuses are no error, see [Source.Refused].
// It needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE) and a kernel from
// 5.8 on with BTF.
func Open(opts Options) (*Source, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	d, err := driver.Load(driver.Options{
		Select:         opts.selection(),
		Settings:       opts.settings(),
		RingSize:       opts.RingSize,
		CPUsPerRing:    opts.CPUsPerRing,
		RawTracepoints: opts.RawTracepoints,
	})
	if err != nil {
		return nil, fmt.Errorf("load eBPF driver: %w", err)
	}
	s := &Source{opts: opts, driver: d}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Source) open() error {
	var rings []*ring
	for i, r := range s.driver.Rings() {
		mapped, err := mapRing(r.Map.FD(), r.Size, i)
		if err != nil {
			for _, r := range rings {
				r.close()
			}
			return err
		}
		rings = append(rings, mapped)
	}
	s.reader = newReader(rings)
	if err := s.driver.Attach(); err != nil {
		return fmt.Errorf("start eBPF driver: %w", err)
	}
	return nil
}

// Next is the next event. Event.CPU is the index of the ring.
func (s *Source) Next() (*event.Event, error) {
	if err := s.NextInto(&s.ev); err != nil {
		return nil, err
	}
	return &s.ev, nil
}

// NextInto is Next into the caller's Event.
func (s *Source) NextInto(ev *event.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	record, ring := s.reader.step(false)
	if record == nil {
		var err error
		if record, ring, err = s.await(); err != nil {
			return err
		}
	}
	return s.hand(ev, record, ring)
}

// ReadBatch fills evs with what there is, waiting for the first event only.
func (s *Source) ReadBatch(evs []event.Event) (int, error) {
	if len(evs) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, os.ErrClosed
	}
	s.reader.release()
	record, ring := s.reader.step(false)
	if record == nil {
		var err error
		if record, ring, err = s.await(); err != nil {
			return 0, err
		}
	}
	for i := range evs {
		if i > 0 {
			if record, ring = s.reader.step(true); record == nil {
				return i, nil
			}
		}
		if err := s.hand(&evs[i], record, ring); err != nil {
			return i, err
		}
	}
	return len(evs), nil
}

// hand makes ev a view of record. One that is not an event says that the
// driver and this package do not fit; reading can go on behind it.
func (s *Source) hand(ev *event.Event, record []byte, ring int) error {
	if err := ev.Reset(record, ring); err != nil {
		return fmt.Errorf("record of %d bytes in ring %d: %w", len(record), ring, err)
	}
	s.handed++
	return nil
}

// await polls until there is an event or the time is over.
func (s *Source) await() (record []byte, ring int, err error) {
	deadline := time.Now().Add(s.opts.Timeout)
	for delay := firstSleep; ; delay = min(2*delay, lastSleep) {
		if s.closing.Load() {
			return nil, 0, os.ErrClosed
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, 0, scap.ErrTimeout
		}
		if err := s.reader.sleep(min(delay, left)); err != nil {
			return nil, 0, fmt.Errorf("wait for events: %w", err)
		}
		if record, ring = s.reader.step(false); record != nil {
			return record, ring, nil
		}
	}
}

// Select changes what is captured, from now on. Events of the former selection
// may still be in the rings. The empty selection pauses the capture.
func (s *Source) Select(sel Selection) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	return s.driver.Select(sel)
}

// SetSnaplen changes the bytes of payload that events have at most.
func (s *Source) SetSnaplen(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	settings := s.driver.Settings()
	settings.Snaplen = n
	return s.driver.Set(settings)
}

// Refused lists the programs that the kernel did not take, of all selections
// up to now. In place of a syscall's own event its generic one is sent; other
// events are missing.
func (s *Source) Refused() []*Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.driver.Refused()
}

// Rings is the number of rings.
func (s *Source) Rings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.reader.rings)
}

// Stats counts events since Open. Those that are still in the rings are seen,
// but neither delivered nor dropped.
func (s *Source) Stats() (scap.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.last, nil
	}
	return s.stats(), nil
}

func (s *Source) stats() scap.Stats {
	c := s.driver.Counters()
	return scap.Stats{
		Seen:      c.Seen,
		Delivered: s.handed,
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

// Close stops the capture and unloads the driver. A read that waits in another
// goroutine ends with os.ErrClosed.
func (s *Source) Close() error {
	s.closing.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	s.closed = true
	errs := []error{s.driver.Detach()}
	if s.reader != nil {
		s.last = s.stats()
		for _, r := range s.reader.rings {
			errs = append(errs, r.close())
		}
	}
	return errors.Join(append(errs, s.driver.Close())...)
}

func (o *Options) selection() Selection {
	return Selection{All: o.All, Syscalls: o.Syscalls, Tracepoints: o.Tracepoints, Enter: o.Enter}
}

func (o *Options) settings() driver.Settings {
	return driver.Settings{
		Snaplen:        o.Snaplen,
		SamplingRatio:  o.SamplingRatio,
		Dropping:       o.SamplingRatio > 1,
		DropFailed:     o.DropFailed,
		DynamicSnaplen: o.DynamicSnaplen,
		FullPorts:      o.FullPorts,
		WakeBytes:      o.wakeBytes(),
	}
}
