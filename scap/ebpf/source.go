// SPDX-License-Identifier: Apache-2.0

package ebpf

import (
	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/internal/live"
)

// Source is a running capture. [scap.Live] says which goroutines may use it.
type Source struct {
	live   *live.Source
	driver *driver.Driver
}

var _ scap.Live = (*Source)(nil)

// Open loads the driver's programs for the selection and starts the capture.
// Programs that the kernel refuses are not an error: [Source.Refused] lists them.
// Open needs root (or CAP_BPF and CAP_PERFMON, before 5.11 also CAP_SYS_RESOURCE) and Linux
// 5.8 or later with BTF; an error names the capability that is missing. On other systems the error wraps errors.ErrUnsupported.
func Open(sel scap.Selection, opts Options) (*Source, error) {
	opts, err := opts.complete(sel)
	if err != nil {
		return nil, err
	}
	return open(sel, &opts)
}

// Next returns the next event. Event.CPU is the index of the ring.
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

// Rings returns the number of rings.
func (s *Source) Rings() int { return s.live.Rings() }

// Refused lists the programs that the kernel refused, for all selections so far.
// A syscall whose program was refused sends the generic event instead of its own;
// other events are missing. After Close the list is empty.
func (s *Source) Refused() (refused []*Refusal) {
	_ = s.live.Do(func() error { // os.ErrClosed: none
		refused = s.driver.Refused()
		return nil
	})
	return refused
}

// Stats counts events since Open. Events that are still in the rings count as
// seen, but neither as delivered nor as dropped.
func (s *Source) Stats() (scap.Stats, error) { return s.live.Stats() }

// Close stops the capture and unloads the driver. A read that waits in another
// goroutine ends with os.ErrClosed.
func (s *Source) Close() error { return s.live.Close() }
