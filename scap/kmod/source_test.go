// SPDX-License-Identifier: Apache-2.0

//go:build linux

package kmod

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/scaplab/scaplab/driver"
	"github.com/scaplab/scaplab/internal/abi"
	"github.com/scaplab/scaplab/scap"
)

func TestPlan(t *testing.T) {
	count := func(in *interest) (n int) {
		for _, on := range in.syscalls {
			if on {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		what        string
		sel         scap.Selection
		syscalls    []int
		tracepoints []int
	}{
		{"nothing", scap.Selection{}, nil, nil},
		{"a call", scap.Selection{Syscalls: []string{"close"}}, []int{unix.SYS_CLOSE}, []int{abi.TPSysExit}},
		{"its enter events too", scap.Selection{Syscalls: []string{"openat"}, Enter: true}, []int{unix.SYS_OPENAT}, []int{abi.TPSysEnter, abi.TPSysExit}},
		{"successes of exec come from elsewhere", scap.Selection{Syscalls: []string{"execve"}}, []int{unix.SYS_EXECVE}, []int{abi.TPSysExit, abi.TPExec}},
		{"new threads likewise", scap.Selection{Syscalls: []string{"clone"}}, []int{unix.SYS_CLONE}, []int{abi.TPSysExit, abi.TPFork}},
		{"only switches", scap.Selection{Tracepoints: []string{"sched_switch"}}, nil, []int{abi.TPSwitch}},
	} {
		in, err := plan(c.sel)
		require.NoError(t, err, c.what)
		require.Equal(t, len(c.syscalls), count(in), c.what)
		for _, nr := range c.syscalls {
			require.True(t, in.syscalls[nr], c.what)
		}
		want := [abi.TPCount]bool{}
		for _, tp := range c.tracepoints {
			want[tp] = true
		}
		require.Equal(t, want, in.tracepoints, c.what)
	}
	in, err := plan(scap.Selection{All: true})
	require.NoError(t, err)
	for nr := range driver.Syscalls {
		require.True(t, in.syscalls[nr], "%d: numbers that the table does not know included", nr)
	}
	require.True(t, in.syscalls[abi.UnknownCall])
	for _, id := range driver.IDs() {
		if place, ok := driver.Place(id.Name, id.NR); ok {
			require.True(t, in.syscalls[place], id.Name)
		}
	}
	require.True(t, in.tracepoints[abi.TPExec])

	_, err = plan(scap.Selection{Syscalls: []string{"close", "opneat"}, Tracepoints: []string{"sched_swich"}})
	require.ErrorContains(t, err, `unknown syscall "opneat"`)
	require.ErrorContains(t, err, `unknown tracepoint "sched_swich"`)
}

func TestOpenWithoutTheModule(t *testing.T) {
	_, err := Open(scap.Selection{All: true}, Options{Name: "no-such_module"})
	require.ErrorContains(t, err, "open module no-such_module: is it loaded?")
	require.ErrorContains(t, err, "/sys/module/no_such_module/")
	_, err = Open(scap.Selection{Syscalls: []string{"opneat"}}, Options{})
	require.ErrorContains(t, err, `unknown syscall "opneat"`)
}
