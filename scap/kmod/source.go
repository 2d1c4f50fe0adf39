// SPDX-License-Identifier: Apache-2.0

package kmod

import (
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/internal/live"
)

// Source is a running capture. [scap.Live] says which goroutines may use it.
type Source struct {
	live   *live.Source
	module module
	info   info
}

var _ scap.Live = (*Source)(nil)

// module reads the module's counters.
type module interface {
	counters() Counters // also after Close
	hits() ([]uint64, error)
}

// info is what the module reported at Open.
type info struct {
	api    Version
	schema Version
	text   string // the module's own version
	own    bool
}

// Open opens the module's devices and starts the capture. It needs root and the
// loaded module. On systems other than Linux the error wraps
// errors.ErrUnsupported.
func Open(sel scap.Selection, opts Options) (*Source, error) {
	opts, err := opts.complete(sel)
	if err != nil {
		return nil, err
	}
	return open(sel, &opts)
}

// Next returns the next event. Event.CPU is the number of the CPU.
func (s *Source) Next() (*event.Event, error) { return s.live.Next() }

// NextInto is Next into the caller's Event.
func (s *Source) NextInto(ev *event.Event) error { return s.live.NextInto(ev) }

// ReadBatch fills evs with the events that are ready. It waits for the first one
// only.
func (s *Source) ReadBatch(evs []event.Event) (int, error) { return s.live.ReadBatch(evs) }

// Interrupt makes the read that waits now, or the next one that would wait,
// return [scap.ErrTimeout] at once.
func (s *Source) Interrupt() { s.live.Interrupt() }

// Select changes what is captured from now on. Events of the former selection may
// still be in the rings. The empty selection pauses the capture.
func (s *Source) Select(sel scap.Selection) error { return s.live.Select(sel) }

// SetSnaplen changes the limit on payload bytes per event.
func (s *Source) SetSnaplen(n int) error { return s.live.SetSnaplen(n) }

// Self returns the pid of this process as events have it, which in a pid namespace is not
// that of os.Getpid; 0: not known.
func (s *Source) Self() event.PID { return s.live.Self() }

// Rings returns the number of rings: one for each CPU that was online at Open.
func (s *Source) Rings() int { return s.live.Rings() }

// API and Schema return the interface versions that the module reports, Module
// the module's own version.
func (s *Source) API() Version    { return s.info.api }
func (s *Source) Schema() Version { return s.info.schema }
func (s *Source) Module() string  { return s.info.text }

// OwnEvents reports whether the module sends events that the reference schema does not have.
func (s *Source) OwnEvents() bool { return s.info.own }

// Counters returns the module's counters, after Close the last ones.
func (s *Source) Counters() (c Counters, err error) {
	if s.live.Do(func() error { c = s.module.counters(); return nil }) != nil {
		c = s.module.counters() // closed: nothing changes it
	}
	return c, nil
}

// TracepointHits returns the tracepoint hits on each CPU, for all clients, since
// the first tracepoint was switched on.
func (s *Source) TracepointHits() (hits []uint64, err error) {
	err = s.live.Do(func() error {
		hits, err = s.module.hits()
		return err
	})
	return hits, err
}

// Stats counts events since Open. Events that are still in the rings count as
// seen, but neither as delivered nor as dropped.
func (s *Source) Stats() (scap.Stats, error) { return s.live.Stats() }

// Close stops the capture. A read that waits in another goroutine ends with
// os.ErrClosed.
func (s *Source) Close() error { return s.live.Close() }
