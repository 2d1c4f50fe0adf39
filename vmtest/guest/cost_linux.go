// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package guest

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/event"
	"github.com/scaplab/scaplab/scap/kmod"
)

const envCost = "scaplab_cost" // see CostArgument

// The fastest of many rounds is not disturbed by interrupts or by other work of the guest:
// a round is shorter than the time between two ticks.
const (
	costCalls  = 100
	costRounds = 50
)

// costSelection is what drivers capture while calls are measured; getuid is not in it.
var costSelection = []string{"getppid", "read", "write", "openat", "close"}

// costSources open the drivers, with rings that have room for the events of a round.
var costSources = map[Driver]func() (scap.Source, error){
	"ebpf": func() (scap.Source, error) {
		return ebpf.Open(scap.Selection{Syscalls: costSelection}, ebpf.Options{Settings: scap.Settings{Timeout: -1}})
	},
	"kmod": func() (scap.Source, error) {
		name, err := loadModule()
		if err != nil {
			return nil, err
		}
		return kmod.Open(scap.Selection{Syscalls: costSelection}, kmod.Options{Name: name, Settings: scap.Settings{Timeout: -1}})
	},
}

// costCall is a call to be measured, and the event that it makes.
type costCall struct {
	name  string
	event event.Type // 0: none
	run   func()
}

// sendCosts measures calls without a driver and with each driver.
func sendCosts(rw io.ReadWriter) error {
	conn := newConn(rw)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	debug.SetGCPercent(-1)
	calls, err := costsOf()
	if err != nil {
		return conn.Send(KindError, Error{Text: err.Error()})
	}
	drivers := []Driver{""}
	if needFile(btfPath) == nil {
		drivers = append(drivers, EBPF)
	}
	if needFile(ModuleFile) == nil {
		drivers = append(drivers, Kmod)
	}
	for _, d := range drivers {
		c := Cost{Driver: d}
		if c.Calls, err = timeCalls(d, calls); err != nil {
			c.Error = err.Error()
		}
		if err := conn.Send(KindCost, c); err != nil {
			return err
		}
	}
	return conn.Send(KindDone, Done{})
}

func costsOf() ([]costCall, error) {
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/null: %w", err)
	}
	zero, err := unix.Open("/dev/zero", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/zero: %w", err)
	}
	buf := uintptr(unsafe.Pointer(&costBuffer[0]))
	path := uintptr(unsafe.Pointer(&costPath[0]))
	cwd := unix.AT_FDCWD
	return []costCall{
		{"getppid", event.TypeGetppidExit, func() { raw(unix.SYS_GETPPID, 0, 0, 0) }},
		{"read 1", event.TypeReadExit, func() { raw(unix.SYS_READ, uintptr(zero), buf, 1) }},
		{"write 64", event.TypeWriteExit, func() { raw(unix.SYS_WRITE, uintptr(null), buf, 64) }},
		{"openat+close", event.TypeOpenatExit, func() { raw(unix.SYS_CLOSE, raw(unix.SYS_OPENAT, uintptr(cwd), path, unix.O_RDONLY), 0, 0) }},
		{"not selected", 0, func() { raw(unix.SYS_GETUID, 0, 0, 0) }},
	}, nil
}

// Package variables are not moved, so their addresses stay valid.
var (
	costBuffer [64]byte
	costPath   = [...]byte{'/', 'd', 'e', 'v', '/', 'n', 'u', 'l', 'l', 0}
)

func raw(nr, a, b, c uintptr) uintptr {
	r, _, _ := unix.RawSyscall(nr, a, b, c)
	return r
}

func timeCalls(driver Driver, calls []costCall) (costs []CallCost, err error) {
	var src scap.Source
	if driver != "" {
		if src, err = costSources[driver](); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, src.Close()) }()
	}
	tid := event.PID(unix.Gettid())
	for _, c := range calls {
		least := time.Duration(math.MaxInt64)
		captured := 0
		for range costRounds {
			if _, err := takeAll(src, tid, c.event); err != nil {
				return nil, err
			}
			start := time.Now()
			for range costCalls {
				c.run()
			}
			least = min(least, time.Since(start))
			n, err := takeAll(src, tid, c.event)
			if err != nil {
				return nil, err
			}
			captured += n
		}
		if want := costRounds * costCalls; src != nil && c.event != 0 && captured != want {
			return nil, fmt.Errorf("%s: captured %d events (want %d)", c.name, captured, want)
		}
		costs = append(costs, CallCost{c.name, float64(least.Nanoseconds()) / costCalls})
	}
	return costs, nil
}

// takeAll empties the rings and counts the thread's events of a type.
func takeAll(src scap.Source, tid event.PID, t event.Type) (n int, err error) {
	if src == nil {
		return 0, nil
	}
	evs := make([]event.Event, 256)
	for {
		got, err := src.ReadBatch(evs)
		for i := range evs[:got] {
			if evs[i].TID() == tid && evs[i].Type() == t {
				n++
			}
		}
		if errors.Is(err, scap.ErrTimeout) || err == nil && got == 0 {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("read events: %w", err)
		}
	}
}

// wantsCosts reports whether this machine was started to measure costs.
func wantsCosts() bool { return slices.Contains(os.Environ(), envCost+"=1") }
