// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/event"
)

// until reads events until one of that type satisfies accept.
func until(t *testing.T, src *Source, typ event.Type, accept func(ev *event.Event) bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for time.Now().Before(deadline) {
		ev, err := src.Next()
		if errors.Is(err, scap.ErrTimeout) {
			continue
		}
		require.NoError(t, err)
		if ev.Type() == typ && accept(ev) {
			return
		}
	}
	require.FailNow(t, "no such event", "type %v", typ)
}

func TestEndOfAProcess(t *testing.T) {
	src := mustOpen(t, scap.Selection{Tracepoints: []string{"sched_process_exit"}}, Options{})
	for name, test := range map[string]struct {
		script string
		status int64
		ret    int64
		sig    uint8
	}{
		"by itself":   {"exit 7", 7 << 8, 7, 0},
		"by a signal": {"kill -KILL $$", 9, 0, 9},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/bin/sh", "-c", test.script)
			require.NoError(t, cmd.Start())
			_ = cmd.Wait() // the event carries the exit status
			until(t, src, event.TypeProcexitEnter, func(ev *event.Event) bool {
				if int(ev.TID()) != cmd.Process.Pid {
					return false
				}
				var d event.ProcexitEnter
				require.NoError(t, d.Decode(ev))
				require.Equal(t, test.status, d.Status)
				require.Equal(t, test.ret, d.Ret)
				require.Equal(t, test.sig, d.Sig)
				require.Zero(t, d.Core)
				require.Zero(t, d.ReaperTID, "it has no children")
				return true
			})
		})
	}
}

// The signal is one that is caught: a signal that ends the process is delivered
// as SIGKILL.
func TestSignalIsDelivered(t *testing.T) {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGHUP)
	defer signal.Stop(caught)
	src := mustOpen(t, scap.Selection{Tracepoints: []string{"signal_deliver"}}, Options{})
	tid := onThread(func() { unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGHUP) })
	<-caught
	until(t, src, event.TypeSignaldeliverEnter, func(ev *event.Event) bool {
		if ev.TID() != tid {
			return false
		}
		var d event.SignaldeliverEnter
		require.NoError(t, d.Decode(ev))
		if d.Sig != uint8(unix.SIGHUP) {
			return false // the runtime preempts with SIGURG
		}
		require.EqualValues(t, unix.Getpid(), d.SPID)
		require.EqualValues(t, tid, d.DPID)
		return true
	})
}

func TestThreadIsSwitchedOut(t *testing.T) {
	src := mustOpen(t, scap.Selection{Tracepoints: []string{"sched_switch"}}, Options{})
	tid := onThread(func() {
		// A new thread may not have had a page fault yet.
		page, err := unix.Mmap(-1, 0, unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE)
		require.NoError(t, err)
		page[0] = 1
		unix.Nanosleep(&unix.Timespec{Nsec: 20_000_000}, nil)
		require.NoError(t, unix.Munmap(page))
	})
	until(t, src, event.TypeSwitchEnter, func(ev *event.Event) bool {
		if ev.TID() != tid {
			return false
		}
		var d event.SwitchEnter
		require.NoError(t, d.Decode(ev))
		require.NotEqual(t, tid, d.Next)
		require.NotZero(t, d.PgftMin)
		require.NotZero(t, d.VMSize)
		require.NotZero(t, d.VMRSS)
		require.LessOrEqual(t, d.VMRSS, d.VMSize)
		return true
	})
}

func TestPageFault(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("page fault tracepoints exist on x86 only")
	}
	src := mustOpen(t, scap.Selection{Tracepoints: []string{"page_fault_user"}}, Options{})
	mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	defer unix.Munmap(mem)
	page := uint64(uintptr(unsafe.Pointer(&mem[0])))
	tid := onThread(func() { mem[100] = 1 })
	until(t, src, event.TypePageFaultEnter, func(ev *event.Event) bool {
		var d event.PageFaultEnter
		require.NoError(t, d.Decode(ev))
		if d.Addr&^4095 != page {
			return false
		}
		require.Equal(t, tid, ev.TID())
		require.EqualValues(t, page+100, d.Addr)
		require.NotZero(t, d.IP)
		require.Equal(t, "PAGE_NOT_PRESENT|WRITE_ACCESS|USER_FAULT", names(ev, 2))
		return true
	})
}

// names returns what a flags param prints, without its number.
func names(ev *event.Event, param int) string {
	text, _ := ev.Info().Params[param].AppendResolved(nil, ev.Param(param))
	return string(text)
}
