// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kmod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/internal/live"
)

// engine is the module, opened.
type engine struct {
	opts    *Options
	keeper  chan struct{} // closed: the thread that opened the devices may end
	rings   []*ring
	inForce interest
	info    info
	counts  Counters // as of Close
	closed  bool
}

func open(sel scap.Selection, opts *Options) (*Source, error) {
	if _, err := plan(sel); err != nil {
		return nil, err
	}
	e := &engine{opts: opts, keeper: make(chan struct{})}
	if err := e.start(sel); err != nil {
		_, cerr := e.Close()
		return nil, errors.Join(fmt.Errorf("open module %s: %w", opts.Name, err), cerr)
	}
	rings := make([]live.Ring, len(e.rings))
	for i, r := range e.rings {
		rings[i] = r
	}
	now := func() uint64 { return uint64(time.Now().UnixNano()) }
	return &Source{live.New(e, rings, opts.Timeout, now), e, e.info}, nil
}

func (e *engine) start(sel scap.Selection) error {
	size, err := e.ringSize()
	if err != nil {
		return err
	}
	// The module identifies its client by the thread that opens the devices, so
	// that thread must not end.
	opened := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		opened <- e.openDevices(size)
		<-e.keeper
	}()
	if err := <-opened; err != nil {
		return err
	}
	_, err = os.Stat(e.parameter("persona"))
	if err := e.opts.Demand.check(e.info.api, e.info.schema, e.opts.Name, err == nil); err != nil {
		return err
	}
	if err := e.configure(); err != nil {
		return err
	}
	return e.Select(sel)
}

func (e *engine) parameter(name string) string {
	return filepath.Join("/sys/module", strings.ReplaceAll(e.opts.Name, "-", "_"), "parameters", name)
}

// ringSize sets the size of rings that are allocated from now on if the options
// have one, and returns the size in force.
func (e *engine) ringSize() (int, error) {
	file := e.parameter("g_buffer_bytes_dim")
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("is it loaded? %w", err)
	}
	size, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if e.opts.RingSize == 0 || e.opts.RingSize == size {
		return size, nil
	}
	if err := os.WriteFile(file, []byte(strconv.Itoa(e.opts.RingSize)), 0); err != nil {
		return 0, fmt.Errorf("set the ring's size: %w", err)
	}
	return e.opts.RingSize, nil
}

// openDevices opens the device of every CPU that is on-line.
func (e *engine) openDevices(size int) error {
	cpus, err := possibleCPUs()
	if err != nil {
		return err
	}
	for cpu := range cpus {
		name := fmt.Sprintf("/dev/%s%d", e.opts.Name, cpu)
		fd, err := openDevice(name)
		if errors.Is(err, unix.ENODEV) {
			continue // off-line
		}
		if errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("%s: no more programs can capture at the same time (raise max_consumers): %w", name, err)
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: name, Err: err}
		}
		api, err1 := getVersion(fd, abi.APIVersion)
		schema, err2 := getVersion(fd, abi.SchemaVersion)
		if err := errors.Join(err1, err2); err != nil {
			unix.Close(fd)
			return fmt.Errorf("%s: %w", name, err)
		}
		r, err := mapRing(fd, size, cpu)
		if err != nil {
			unix.Close(fd)
			return err
		}
		if len(e.rings) > 0 && (api != e.info.api || schema != e.info.schema) {
			err = fmt.Errorf("%s: API %v, schema %v, unlike the first device (%v, %v)", name, api, schema, e.info.api, e.info.schema)
		}
		e.info.api, e.info.schema = api, schema
		e.rings = append(e.rings, r)
		if err != nil {
			return err
		}
	}
	if len(e.rings) == 0 {
		return fmt.Errorf("no device /dev/%s* could be opened: %w", e.opts.Name, unix.ENODEV)
	}
	return nil
}

// openDevice opens a device. A device that this process has just closed can stay
// busy for a moment: a child that another thread forks keeps it open until exec.
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

// possibleCPUs returns the highest possible CPU number plus one.
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
		return Version{}, fmt.Errorf("get version: %w", err)
	}
	return parseVersion(v), nil
}

func ioctlPointer(fd int, number uint, p unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(abi.Request(number)), uintptr(p)); errno != 0 {
		return os.NewSyscallError("ioctl", errno)
	}
	return nil
}

// set sends a request with a number to the first device: settings belong to the
// client, not to the device.
func (e *engine) set(what string, request uint, value int) error {
	if err := unix.IoctlSetInt(e.rings[0].fd, abi.Request(request), value); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (e *engine) configure() error {
	var text [256]byte
	if err := ioctlPointer(e.rings[0].fd, abi.DriverVersion, unsafe.Pointer(&text)); err == nil {
		e.info.text = unix.ByteSliceToString(text[:])
	}
	o := e.opts
	dropping, ratio := uint(abi.DroppingOff), 0
	if o.SamplingRatio > 1 {
		dropping, ratio = abi.DroppingOn, int(o.SamplingRatio)
	}
	failed, dynamic := uint(abi.DropFailedOff), uint(abi.DynSnaplenOff)
	if o.DropFailed {
		failed = abi.DropFailedOn
	}
	if o.DynamicSnaplen {
		dynamic = abi.DynSnaplenOn
	}
	err := errors.Join(
		e.set("set dropping mode", dropping, ratio),
		e.set("set snaplen", abi.Snaplen, o.Snaplen),
		e.set("set dynamic snaplen", dynamic, 0),
		e.set("set drop-failed", failed, 0),
	)
	if o.FullPorts != [2]uint16{} {
		err = errors.Join(err, e.set("set port range", abi.PortRange, int(o.FullPorts[1])<<16|int(o.FullPorts[0])))
	}
	if o.StatsdPort != 0 {
		err = errors.Join(err, e.set("set statsd port", abi.Statsd, int(o.StatsdPort)))
	}
	if !o.Reference {
		// Other modules refuse the request: they do not have our own events.
		e.info.own = unix.IoctlSetInt(e.rings[0].fd, abi.Request(abi.OwnEvents), 1) == nil
	}
	return err
}

// SetSnaplen changes the limit on payload bytes per event.
func (e *engine) SetSnaplen(n int) error { return e.set("set snaplen", abi.Snaplen, n) }

// Self asks the module for the pid of this process in the initial pid namespace.
func (e *engine) Self() event.PID {
	pid, err := unix.IoctlRetInt(e.rings[0].fd, abi.Request(abi.CurrentPID))
	if err != nil {
		return 0
	}
	return event.PID(pid)
}

// Wait sleeps for d: the module does not wake readers.
func (e *engine) Wait(d time.Duration) error {
	time.Sleep(d)
	return nil
}

// counters returns the module's counters, after Close the last ones.
func (e *engine) counters() Counters {
	if e.closed {
		return e.counts
	}
	c := Counters{CPUs: len(e.rings)}
	for _, r := range e.rings {
		for i, n := range [abi.CounterCount]*uint64{
			abi.CounterEvents:             &c.Events,
			abi.CounterDropsBuffer:        &c.DropsBuffer,
			abi.CounterDropsCloneFork:     &c.ByCategory.CloneFork,
			abi.CounterDropsExecve:        &c.ByCategory.Execve,
			abi.CounterDropsConnectEnter:  &c.ByCategory.ConnectEnter,
			abi.CounterDropsConnect:       &c.ByCategory.Connect,
			abi.CounterDropsOpenEnter:     &c.ByCategory.OpenEnter,
			abi.CounterDropsOpen:          &c.ByCategory.Open,
			abi.CounterDropsDirFile:       &c.ByCategory.DirFile,
			abi.CounterDropsOtherInterest: &c.ByCategory.OtherInterest,
			abi.CounterDropsClose:         &c.ByCategory.Close,
			abi.CounterDropsProcExit:      &c.ByCategory.ProcExit,
			abi.CounterDropsFault:         &c.DropsFault,
			abi.CounterPreemptions:        &c.Preemptions,
			abi.CounterSwitches:           &c.Switches,
			abi.CounterDropsMessages:      &c.DropsMessages,
		} {
			if i == abi.CounterDropsMessages && !e.info.own {
				continue
			}
			*n += r.counter(i)
		}
	}
	return c
}

func (e *engine) Stats() scap.Stats {
	c := e.counters()
	return scap.Stats{
		Seen:  c.Events + c.Preemptions,
		Drops: scap.Drops{BufferFull: c.DropsBuffer, Messages: c.DropsMessages, Other: c.DropsFault + c.Preemptions},
	}
}

func (e *engine) hits() ([]uint64, error) {
	n, err := possibleCPUs()
	if err != nil {
		return nil, err
	}
	hits := make([]uint64, n)
	if err := ioctlPointer(e.rings[0].fd, abi.TPHits, unsafe.Pointer(&hits[0])); err != nil {
		return nil, fmt.Errorf("get tracepoint hits: %w", err)
	}
	return hits, nil
}

func (e *engine) Close() (scap.Stats, error) {
	e.counts = e.counters()
	stats := e.Stats()
	e.closed = true
	var errs []error
	for _, r := range e.rings {
		errs = append(errs, r.close())
	}
	close(e.keeper)
	return stats, errors.Join(errs...)
}
