// SPDX-License-Identifier: Apache-2.0

//go:build linux

package ebpf

import (
	"encoding/binary"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
)

// output returns a program that writes one record of 24 bytes, the boot clock first,
// into the ring buffer. flags are those of the output helper.
func output(tb testing.TB, ring *ebpf.Map, flags int32) *ebpf.Program {
	tb.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:    ebpf.SocketFilter,
		License: "GPL",
		Instructions: asm.Instructions{
			asm.FnKtimeGetBootNs.Call(),
			asm.StoreMem(asm.RFP, -24, asm.R0, asm.DWord),
			asm.Mov.Imm(asm.R0, 0x11),
			asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord),
			asm.Mov.Imm(asm.R0, 0x22),
			asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
			asm.LoadMapPtr(asm.R1, ring.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -24),
			asm.Mov.Imm(asm.R3, 24),
			asm.Mov.Imm(asm.R4, flags),
			asm.FnRingbufOutput.Call(),
			asm.Return(),
		},
	})
	require.NoError(tb, err)
	tb.Cleanup(func() { prog.Close() })
	return prog
}

func mustRing(tb testing.TB, size int) (*ebpf.Map, *ring) {
	tb.Helper()
	testutil.SkipUnlessRoot(tb)
	testutil.SkipUnlessKernel(tb, "5.8", "BPF ring buffers")
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(size)})
	require.NoError(tb, err)
	tb.Cleanup(func() { m.Close() })
	r, err := mapRing(m.FD(), size, 0)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, r.close()) })
	return m, r
}

const (
	noWakeup    = 1
	forceWakeup = 2
)

func TestRingOfTheKernel(t *testing.T) {
	size := os.Getpagesize()
	m, r := mustRing(t, size)
	prog := output(t, m, noWakeup)
	rd := newReader(r)
	var last uint64
	total := 0
	for range 20 { // several times around
		wrote := 0
		for range 3 * size / 32 / 2 { // more than fits
			ret, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
			require.NoError(t, err)
			if ret == 0 {
				wrote++
			}
		}
		read := 0
		for {
			rec, _ := step(t, rd, false)
			if rec == nil {
				break
			}
			require.Len(t, rec, 24)
			require.GreaterOrEqual(t, timestamp(rec), last)
			last = timestamp(rec)
			require.EqualValues(t, 0x11, binary.NativeEndian.Uint64(rec[8:]))
			require.EqualValues(t, 0x22, binary.NativeEndian.Uint64(rec[16:]))
			read++
		}
		require.Equal(t, wrote, read)
		total += read
	}
	require.GreaterOrEqual(t, total, 20*(size/32-1))
}

func TestTheKernelEndsASleep(t *testing.T) {
	m, r := mustRing(t, os.Getpagesize())
	prog := output(t, m, forceWakeup)
	rd := newReader(r)
	e := &engine{polls: []unix.PollFd{{Fd: int32(m.FD()), Events: unix.POLLIN}}}
	rec, _ := step(t, rd, false)
	require.Nil(t, rec)
	ran := make(chan error)
	go func() {
		time.Sleep(20 * time.Millisecond)
		_, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		ran <- err
	}()
	require.NoError(t, e.Wait(24*time.Hour))
	require.NoError(t, <-ran)
	rec, _ = step(t, rd, false)
	require.Len(t, rec, 24)
}
