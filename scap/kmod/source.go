// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kmod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// Requests of the module's interface.
const (
	iocBase = 's' << 8

	iocDroppingOff    = iocBase + 2
	iocDroppingOn     = iocBase + 3
	iocSnaplen        = iocBase + 4
	iocDynSnaplenOff  = iocBase + 8
	iocDynSnaplenOn   = iocBase + 9
	iocTracepointHits = iocBase + 20
	iocDriverVersion  = iocBase + 21
	iocPortRange      = iocBase + 22
	iocStatsdPort     = iocBase + 23
	iocAPIVersion     = iocBase + 24
	iocSchemaVersion  = iocBase + 25
	iocSyscallOn      = iocBase + 29
	iocSyscallOff     = iocBase + 30
	iocTracepointOn   = iocBase + 31
	iocTracepointOff  = iocBase + 32
	iocDropFailedOn   = iocBase + 33
	iocDropFailedOff  = iocBase + 34
	iocOwnEvents      = iocBase + 200 // this project's module only
)

// Tracepoints as the interface numbers them.
const (
	tpSysEnter = iota
	tpSysExit
	tpProcessExit
	tpSwitch
	tpPageFaultUser
	tpPageFaultKernel
	tpSignal
	tpFork
	tpExec
	tpCount
)

var tracepointNumbers = map[string]int{
	"sched_process_exit": tpProcessExit, "sched_switch": tpSwitch, "page_fault_user": tpPageFaultUser,
	"page_fault_kernel": tpPageFaultKernel, "signal_deliver": tpSignal,
}

// tracepointOrder is that in which they are switched on: a process seen to
// start is also seen to exec and to end.
var tracepointOrder = [tpCount]int{tpSysEnter, tpSysExit, tpFork, tpExec, tpProcessExit, tpSwitch, tpPageFaultUser, tpPageFaultKernel, tpSignal}

// interest is what a selection means for the module.
type interest struct {
	syscalls    [driver.Syscalls]bool
	tracepoints [tpCount]bool
}

// Source is a running capture. Its methods may be called from several
// goroutines, but events are valid for the one that reads them only, until its
// next read: while one is in use no other goroutine may read or close.
type Source struct {
	opts   Options
	keeper chan struct{} // closed: the thread that opened the devices may go

	closing atomic.Bool // set before mu is taken, so that a read that waits ends
	mu      sync.Mutex
	rings   []*ring
	reader  *reader
	ev      event.Event
	handed  uint64
	inForce interest
	api     Version
	schema  Version
	text    string // the module's own version
	own     bool
	last    scap.Stats // at Close
	counts  Counters
	closed  bool
}

var _ scap.Source = (*Source)(nil)

// Open opens the module's devices and starts the capture. It needs root and
// the loaded module.
func Open(opts Options) (*Source, error) {
	opts, err := opts.complete()
	if err != nil {
		return nil, err
	}
	s := &Source{opts: opts, keeper: make(chan struct{})}
	if _, err := s.plan(opts.selection()); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open module %s: %w", opts.Name, err), s.Close())
	}
	return s, nil
}

func (s *Source) open() error {
	size, err := s.ringSize()
	if err != nil {
		return err
	}
	// The module knows its client by the thread that opens, which must stay.
	opened := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		opened <- s.openDevices(size)
		<-s.keeper
	}()
	if err := <-opened; err != nil {
		return err
	}
	if err := checkVersions(s.api, s.schema); err != nil {
		return err
	}
	if err := s.configure(); err != nil {
		return err
	}
	s.reader = newReader(s.rings)
	return s.setInterest(s.opts.selection())
}

func (s *Source) parameter(name string) string {
	return filepath.Join("/sys/module", strings.ReplaceAll(s.opts.Name, "-", "_"), "parameters", name)
}

// ringSize sets the size of rings that are allocated from now on, or asks for it.
func (s *Source) ringSize() (int, error) {
	file := s.parameter("g_buffer_bytes_dim")
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("is it loaded? %w", err)
	}
	size, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if s.opts.RingSize == 0 || s.opts.RingSize == size {
		return size, nil
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(s.opts.RingSize)), 0); err != nil {
		return 0, fmt.Errorf("set the ring's size: %w", err)
	}
	return s.opts.RingSize, nil
}

// openDevices opens the device of every CPU that is on-line.
func (s *Source) openDevices(size int) error {
	cpus, err := possibleCPUs()
	if err != nil {
		return err
	}
	for cpu := range cpus {
		name := fmt.Sprintf("/dev/%s%d", s.opts.Name, cpu)
		fd, err := openDevice(name)
		if errors.Is(err, unix.ENODEV) {
			continue // off-line
		}
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("%s: as many programs capture as the module takes (max_consumers): %w", name, err)
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: name, Err: err}
		}
		api, err1 := getVersion(fd, iocAPIVersion)
		schema, err2 := getVersion(fd, iocSchemaVersion)
		if err := errors.Join(err1, err2); err != nil {
			unix.Close(fd)
			return fmt.Errorf("%s: %w", name, err)
		}
		r, err := mapRing(fd, size, cpu)
		if err != nil {
			unix.Close(fd)
			return err
		}
		if len(s.rings) > 0 && (api != s.api || schema != s.schema) {
			err = fmt.Errorf("%s: API %v, schema %v, unlike the first device (%v, %v)", name, api, schema, s.api, s.schema)
		}
		s.api, s.schema = api, schema
		s.rings = append(s.rings, r)
		if err != nil {
			return err
		}
	}
	if len(s.rings) == 0 {
		return fmt.Errorf("no device /dev/%s* could be opened: %w", s.opts.Name, unix.ENODEV)
	}
	return nil
}

// openDevice opens a device. One that a former capture of this process has just
// closed can be busy for a moment: a child that another thread is starting has
// it open until it execs.
func openDevice(name string) (fd int, err error) {
	for range 50 {
		fd, err = unix.Open(name, unix.O_RDWR|unix.O_SYNC|unix.O_CLOEXEC, 0)
		if !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fd, err
}

// possibleCPUs is one more than the highest CPU number there can be.
func possibleCPUs() (int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(b))
	n, err := strconv.Atoi(text[strings.LastIndexAny(text, "-,")+1:])
	if err != nil {
		return 0, fmt.Errorf("possible CPUs %q: %w", text, err)
	}
	return n + 1, nil
}

func getVersion(fd int, request uint) (Version, error) {
	var v uint64
	if err := ioctlPointer(fd, request, unsafe.Pointer(&v)); err != nil {
		return Version{}, fmt.Errorf("ask for version: %w", err)
	}
	return parseVersion(v), nil
}

func ioctlPointer(fd int, request uint, p unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(p)); errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}

// set sends a request with a number to the first device: settings are the
// client's, not the device's.
func (s *Source) set(what string, request uint, value int) error {
	if err := unix.IoctlSetInt(s.rings[0].fd, request, value); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (s *Source) configure() error {
	var text [256]byte
	if err := ioctlPointer(s.rings[0].fd, iocDriverVersion, unsafe.Pointer(&text)); err == nil {
		s.text = unix.ByteSliceToString(text[:])
	}
	o := &s.opts
	dropping, ratio := uint(iocDroppingOff), 0
	if o.SamplingRatio > 1 {
		dropping, ratio = iocDroppingOn, int(o.SamplingRatio)
	}
	failed, dynamic := uint(iocDropFailedOff), uint(iocDynSnaplenOff)
	if o.DropFailed {
		failed = iocDropFailedOn
	}
	if o.DynamicSnaplen {
		dynamic = iocDynSnaplenOn
	}
	err := errors.Join(
		s.set("set dropping mode", dropping, ratio),
		s.set("set snaplen", iocSnaplen, o.Snaplen),
		s.set("set dynamic snaplen", dynamic, 0),
		s.set("set drop-failed", failed, 0),
	)
	if o.FullPorts != [2]uint16{} {
		err = errors.Join(err, s.set("set port range", iocPortRange, int(o.FullPorts[1])<<16|int(o.FullPorts[0])))
	}
	if o.StatsdPort != 0 {
		err = errors.Join(err, s.set("set statsd port", iocStatsdPort, int(o.StatsdPort)))
	}
	if !o.Reference {
		// Another module refuses, and has no events of ours.
		s.own = unix.IoctlSetInt(s.rings[0].fd, iocOwnEvents, 1) == nil
	}
	return err
}

// plan is what a selection means. A name must be known on some architecture.
func (s *Source) plan(sel Selection) (*interest, error) {
	in := new(interest)
	var errs []error
	want := make(map[string]bool, len(sel.Syscalls))
	for _, name := range sel.Syscalls {
		want[name] = true
	}
	known := make(map[string]bool)
	choose := func(name string, nr int, ok bool) {
		known[name] = true
		if !sel.All && !want[name] {
			return
		}
		// A call without a number has no bit: the module sends it with any other.
		if !ok && !driver.SocketcallOnly(name) || nr >= driver.Syscalls {
			return
		}
		if ok {
			in.syscalls[nr] = true
		}
		in.tracepoints[tpSysExit] = true
		in.tracepoints[tpSysEnter] = sel.Enter
		switch name {
		case "execve", "execveat":
			in.tracepoints[tpExec] = true
		case "clone", "clone3", "fork", "vfork":
			in.tracepoints[tpFork] = true
		}
	}
	for _, id := range driver.IDs() {
		nr, ok := id.NR.Number(runtime.GOARCH)
		choose(id.Name, nr, ok)
	}
	for _, e := range driver.Events() {
		for _, call := range e.Calls {
			nr, ok := call.NR.Number(runtime.GOARCH)
			choose(call.Name, nr, ok)
		}
	}
	if sel.All {
		in.syscalls = [driver.Syscalls]bool{}
		for nr := range in.syscalls {
			in.syscalls[nr] = true
		}
	}
	for _, name := range sel.Syscalls {
		if !known[name] {
			errs = append(errs, fmt.Errorf("unknown syscall %q", name))
		}
	}
	for _, name := range sel.Tracepoints {
		tp, ok := tracepointNumbers[name]
		if !ok || !slices.Contains(Tracepoints(), name) {
			errs = append(errs, fmt.Errorf("unknown tracepoint %q", name))
			continue
		}
		in.tracepoints[tp] = true
	}
	return in, errors.Join(errs...)
}

// setInterest tells the module what differs from what is in force.
func (s *Source) setInterest(sel Selection) error {
	in, err := s.plan(sel)
	if err != nil {
		return err
	}
	for nr, on := range in.syscalls {
		if on == s.inForce.syscalls[nr] {
			continue
		}
		request := uint(iocSyscallOff)
		if on {
			request = iocSyscallOn
		}
		if err := s.set(fmt.Sprintf("select syscall %d", nr), request, nr); err != nil {
			return err
		}
		s.inForce.syscalls[nr] = on
	}
	for _, tp := range tracepointOrder {
		on := in.tracepoints[tp]
		if on == s.inForce.tracepoints[tp] {
			continue
		}
		request := uint(iocTracepointOff)
		if on {
			request = iocTracepointOn
		}
		if err := s.set(fmt.Sprintf("select tracepoint %d", tp), request, tp); err != nil {
			return err
		}
		s.inForce.tracepoints[tp] = on
	}
	return nil
}

// Next is the next event. Event.CPU is the number of the CPU.
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
	record, ring, err := s.reader.step(false)
	if record == nil && err == nil {
		record, ring, err = s.await()
	}
	if err != nil {
		return err
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
	if err := s.reader.release(); err != nil {
		return 0, err
	}
	record, ring, err := s.reader.step(false)
	if record == nil && err == nil {
		record, ring, err = s.await()
	}
	for i := range evs {
		if i > 0 {
			record, ring, err = s.reader.step(true)
		}
		if err != nil || record == nil {
			return i, err
		}
		if err := s.hand(&evs[i], record, ring); err != nil {
			return i, err
		}
	}
	return len(evs), nil
}

// hand makes ev a view of record. One that is not an event says that the
// module and this package do not fit; reading can go on behind it.
func (s *Source) hand(ev *event.Event, record []byte, ring int) error {
	if err := ev.Reset(record, s.rings[ring].index); err != nil {
		return fmt.Errorf("record of %d bytes of CPU %d: %w", len(record), s.rings[ring].index, err)
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
		time.Sleep(min(delay, left))
		if record, ring, err = s.reader.step(false); record != nil || err != nil {
			return record, ring, err
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
	return s.setInterest(sel)
}

// SetSnaplen changes the bytes of payload that events have at most.
func (s *Source) SetSnaplen(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	if err := s.set("set snaplen", iocSnaplen, n); err != nil {
		return err
	}
	s.opts.Snaplen = n
	return nil
}

// Rings is the number of rings: one for each CPU that was on-line at Open.
func (s *Source) Rings() int { return len(s.rings) }

// API and Schema are the versions that the module reports, Module its own.
func (s *Source) API() Version    { return s.api }
func (s *Source) Schema() Version { return s.schema }
func (s *Source) Module() string  { return s.text }

// OwnEvents tells whether the module sends events that the reference schema does not have.
func (s *Source) OwnEvents() bool { return s.own }

// Counters are the module's, with losses by category.
func (s *Source) Counters() (Counters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.counts, nil
	}
	return s.counters(), nil
}

func (s *Source) counters() Counters {
	c := Counters{CPUs: len(s.rings)}
	for _, r := range s.rings {
		for i, n := range []*uint64{
			&c.Events, &c.DropsBuffer, &c.ByCategory.CloneFork, &c.ByCategory.Execve, &c.ByCategory.ConnectEnter,
			&c.ByCategory.Connect, &c.ByCategory.OpenEnter, &c.ByCategory.Open, &c.ByCategory.DirFile,
			&c.ByCategory.OtherInterest, &c.ByCategory.Close, &c.ByCategory.ProcExit, &c.DropsFault,
			&c.Preemptions, &c.Switches,
		} {
			*n += r.counter(infoEvents + 8*i)
		}
	}
	return c
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
	c := s.counters()
	return scap.Stats{
		Seen:      c.Events + c.Preemptions,
		Delivered: s.handed,
		Drops:     scap.Drops{BufferFull: c.DropsBuffer, Other: c.DropsFault + c.Preemptions},
	}
}

// TracepointHits are the hits on each CPU, whoever's events they became, since
// the first tracepoint was switched on.
func (s *Source) TracepointHits() ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, os.ErrClosed
	}
	n, err := possibleCPUs()
	if err != nil {
		return nil, err
	}
	hits := make([]uint64, n)
	if err := ioctlPointer(s.rings[0].fd, iocTracepointHits, unsafe.Pointer(&hits[0])); err != nil {
		return nil, fmt.Errorf("ask for hits: %w", err)
	}
	return hits, nil
}

// Close stops the capture. A read that waits in another goroutine ends with
// os.ErrClosed.
func (s *Source) Close() error {
	s.closing.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	s.closed = true
	if s.reader != nil {
		s.last, s.counts = s.stats(), s.counters()
	}
	var errs []error
	for _, r := range s.rings {
		errs = append(errs, r.close())
	}
	close(s.keeper)
	return errors.Join(errs...)
}
