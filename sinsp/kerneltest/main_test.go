// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package kerneltest

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/internal/testutil"
	"github.com/scaplab/scaplab/scap"
	"github.com/scaplab/scaplab/scap/ebpf"
	"github.com/scaplab/scaplab/scap/kmod"
	"github.com/scaplab/scaplab/vmtest/guest"
	"github.com/scaplab/scaplab/vmtest/machine/machinetest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		work(role)
	}
	machinetest.Main(m, "TestMachine")
}

// TestOnOtherKernels runs the tests named TestMachine on kernels fetched for it.
func TestOnOtherKernels(t *testing.T) { machinetest.Run(t) }

// settings make the rings large enough for what a workload does at once.
var settings = scap.Settings{RingSize: 16 << 20}

func openEBPF(t *testing.T) scap.Live {
	src, err := ebpf.Open(selection(ebpf.Tracepoints()), ebpf.Options{Settings: settings})
	require.NoError(t, err)
	return src
}

func openKmod(t *testing.T) scap.Live {
	module, err := os.Open(guest.ModuleFile)
	require.NoError(t, err)
	defer module.Close()
	if err := unix.FinitModule(int(module.Fd()), "", 0); err != unix.EEXIST {
		require.NoError(t, err)
	}
	src, err := kmod.Open(selection(kmod.Tracepoints()), kmod.Options{Settings: settings})
	require.NoError(t, err)
	return src
}

func TestTheStateOfEventsIsThatOfProc(t *testing.T) {
	testutil.SkipUnlessRoot(t)
	testutil.SkipIfShort(t, "must keep up with all events of the machine, which the race detector is too slow for")
	compare(t, openEBPF(t))
}

func TestMachineTheStateOfEventsIsThatOfProc(t *testing.T) {
	t.Run("ebpf", func(t *testing.T) { compare(t, openEBPF(t)) })
	t.Run("kmod", func(t *testing.T) { compare(t, openKmod(t)) })
}
