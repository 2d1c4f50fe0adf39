// SPDX-License-Identifier: Apache-2.0

package ebpf

import (
	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/internal/live"
)

// Source is a running capture. Which goroutines may use it, [scap.Live] says.
type Source struct {
	live   *live.Source
	driver *driver.Driver
}

var _ scap.Live = (*Source)(nil)

// Open loads the driver's programs for what is selected and starts the
// capture. Programs that the kernel refuses are no error, see [Source.Refused].
// It needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE) and a kernel from
// 5.8 on with BTF. On other systems than Linux the error is errors.ErrUnsupported.
func Open(sel scap.Selection, opts Options) (*Source, error) {
	opts, err := opts.complete(sel)
	if err != nil {
		return nil, err
	}
	return open(sel, &opts)
}

// Next is the next event. Event.CPU is the index of the ring.
func (s *Source) Next() (*event.Event, error) { return s.live.Next() }

// NextInto is Next into the caller's Event.
func (s *Source) NextInto(ev *event.Event) error { return s.live.NextInto(ev) }

// ReadBatch fills evs with what there is, waiting for the first event only.
func (s *Source) ReadBatch(evs []event.Event) (int, error) { return s.live.ReadBatch(evs) }

// Interrupt makes a read that waits, or else the next one that would, return
// [scap.ErrTimeout] at once.
func (s *Source) Interrupt() { s.live.Interrupt() }

// Select changes what is captured, from now on. Events of the former selection
// may still be in the rings. The empty selection pauses the capture.
func (s *Source) Select(sel scap.Selection) error { return s.live.Select(sel) }

// SetSnaplen changes the bytes of payload that events have at most.
func (s *Source) SetSnaplen(n int) error { return s.live.SetSnaplen(n) }

// Rings is the number of rings.
func (s *Source) Rings() int { return s.live.Rings() }

// Refused lists the programs that the kernel did not take, of all selections
// up to now. In place of a syscall's own event its generic one is sent; other
// events are missing. After Close there are none.
func (s *Source) Refused() (refused []*Refusal) {
	_ = s.live.Do(func() error { // os.ErrClosed: none
		refused = s.driver.Refused()
		return nil
	})
	return refused
}

// Stats counts events since Open. Those that are still in the rings are seen,
// but neither delivered nor dropped.
func (s *Source) Stats() (scap.Stats, error) { return s.live.Stats() }

// Close stops the capture and unloads the driver. A read that waits in another
// goroutine ends with os.ErrClosed.
func (s *Source) Close() error { return s.live.Close() }
